// BTF: raw bytes by descriptor, and the kernel's types as C.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <string.h>

#include <memory>
#include <set>

#include "core.h"

namespace studio {
namespace {

// btfRaw(operation, fd): {data, name, kernel}.
Napi::Value BtfRaw(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  return Start(info, [fd]() -> Deliver {
    char name[64] = {};
    bpf_btf_info sizes = {};
    uint32_t length = sizeof(sizes);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_btf_get_info_by_fd(fd, &sizes, &length));
    auto data = std::make_shared<std::string>(sizes.btf_size, '\0');
    bpf_btf_info full = {};
    full.btf = reinterpret_cast<uint64_t>(data->data());
    full.btf_size = data->size();
    full.name = reinterpret_cast<uint64_t>(name);
    full.name_len = sizeof(name);
    length = sizeof(full);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_btf_get_info_by_fd(fd, &full, &length));
    return [data, name = std::string(name), kernel = full.kernel_btf != 0](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("data", MakeBytes(env, std::move(*data)));
      result.Set("name", name);
      result.Set("kernel", Napi::Boolean::New(env, kernel));
      return result;
    };
  });
}

void Append(void* context, const char* format, va_list arguments) {
  auto* text = static_cast<std::string*>(context);
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  size_t start = text->size();
  text->resize(start + length + 1);
  vsnprintf(text->data() + start, length + 1, format, arguments);
  text->resize(start + length);
}

using BtfPointer = std::unique_ptr<btf, decltype(&btf__free)>;
using DumpPointer = std::unique_ptr<btf_dump, decltype(&btf_dump__free)>;

// Functions that BPF programs may call: those with the declaration tag `bpf_kfunc` (kernels from 6.10 on).
std::vector<uint32_t> FindKfuncs(const btf* types) {
  std::vector<uint32_t> kfuncs;
  std::set<uint32_t> seen;
  for (uint32_t id = 1; id < btf__type_cnt(types); id++) {
    const btf_type* type = btf__type_by_id(types, id);
    if (!btf_is_decl_tag(type) || btf_decl_tag(type)->component_idx != -1) continue;
    if (strcmp(btf__name_by_offset(types, type->name_off), "bpf_kfunc") != 0) continue;
    if (btf_is_func(btf__type_by_id(types, type->type)) && seen.insert(type->type).second) kfuncs.push_back(type->type);
  }
  return kfuncs;
}

void DumpKfuncs(btf* types, btf_dump* dump, std::string& text) {
  auto kfuncs = FindKfuncs(types);
  if (kfuncs.empty()) return;
  text += "\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n#ifndef __ksym\n#define __ksym __attribute__((section(\".ksyms\")))\n#endif\n";
  text += "#ifndef __weak\n#define __weak __attribute__((weak))\n#endif\n\n";
  for (uint32_t id : kfuncs) {
    const btf_type* function = btf__type_by_id(types, id);
    LIBBPF_OPTS(btf_dump_emit_type_decl_opts, options, .field_name = btf__name_by_offset(types, function->name_off));
    text += "extern ";
    Check("btf_dump__emit_type_decl", btf_dump__emit_type_decl(dump, function->type, &options));
    text += " __weak __ksym;\n";
  }
  text += "#endif /* BPF_NO_KFUNC_PROTOTYPES */\n";
}

// vmlinuxHeader(operation, path?): the types of the running kernel, or of the vmlinux at that path, as one C header.
Napi::Value VmlinuxHeader(const Napi::CallbackInfo& info) {
  std::string path = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
  return Start(info, [path]() -> Deliver {
    BtfPointer types(path.empty() ? btf__load_vmlinux_btf() : btf__parse(path.c_str(), nullptr), btf__free);
    if (!types) Fail(path.empty() ? "btf__load_vmlinux_btf" : "btf__parse", errno);
    auto text = std::make_shared<std::string>();
    text->reserve(4 << 20);
    *text +=
        "#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n"
        "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
        "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n"
        "#endif\n\n";
    DumpPointer dump(btf_dump__new(types.get(), Append, text.get(), nullptr), btf_dump__free);
    if (!dump) Fail("btf_dump__new", errno);
    for (uint32_t id = 1; id < btf__type_cnt(types.get()); id++) {
      Check("btf_dump__dump_type", btf_dump__dump_type(dump.get(), id));
      if (Cancelled()) Fail("btf_dump__dump_type", ECANCELED);
    }
    DumpKfuncs(types.get(), dump.get(), *text);
    *text +=
        "\n#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n"
        "#endif /* __VMLINUX_H__ */\n";
    return [text](Napi::Env env) -> Napi::Value { return Napi::String::New(env, *text); };
  });
}

}  // namespace

void InitBtf(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "btfRaw", BtfRaw);
  Export(env, exports, "vmlinuxHeader", VmlinuxHeader);
}

}  // namespace studio
