#include "core.h"
namespace studio {
#define STUB(N) void N(Napi::Env, Napi::Object) {}
STUB(InitLink) STUB(InitTc) STUB(InitNetwork) STUB(InitBtf) STUB(InitEnumerate) STUB(InitProbe) STUB(InitReader)
}
