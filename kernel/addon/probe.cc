// What the running kernel has, by libbpf's probes.
#include <bpf/libbpf.h>

#include "core.h"

namespace studio {
namespace {

struct Probed {
  std::string name;
  bool supported;
};

Napi::Value ToObject(Napi::Env env, const std::vector<Probed>& probed) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& one : probed) object.Set(one.name, Napi::Boolean::New(env, one.supported));
  return object;
}

// probeFeatures(operation): {programTypes, mapTypes} by name. A type that libbpf has no probe for is left out: an
// error is not an answer.
Napi::Value ProbeFeatures(const Napi::CallbackInfo& info) {
  return Start(info, []() -> Deliver {
    std::vector<Probed> programs, maps;
    for (int type = 1; const char* name = libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(type)); type++) {
      if (Cancelled()) Fail("libbpf_probe_bpf_prog_type", ECANCELED);
      int result = libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr);
      if (result >= 0) programs.push_back({name, result == 1});
    }
    for (int type = 1; const char* name = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type)); type++) {
      if (Cancelled()) Fail("libbpf_probe_bpf_map_type", ECANCELED);
      int result = libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(type), nullptr);
      if (result >= 0) maps.push_back({name, result == 1});
    }
    return [programs, maps](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("programTypes", ToObject(env, programs));
      result.Set("mapTypes", ToObject(env, maps));
      return result;
    };
  });
}

}  // namespace

void InitProbe(Napi::Env env, Napi::Object exports) { Export(env, exports, "probeFeatures", ProbeFeatures); }

}  // namespace studio
