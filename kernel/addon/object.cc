// bpf_object: open from bytes, choose what to load, load, describe.
#include "object.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "core.h"

namespace studio {

LogBuffer::LogBuffer(size_t size) : size_(size) {
  void* memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<char*>(memory);
}
LogBuffer::~LogBuffer() { munmap(data_, size_); }

namespace {

void CloseModuleBtfs(ProgramState& program) {
  for (int fd : program.moduleBtfs)
    if (fd > 0) close(fd);
  program.moduleBtfs.clear();
}

// The object that this thread is loading.
thread_local ObjectState* loading = nullptr;

// Calls of functions in kernel modules name the module by an index into an array of descriptors, which libbpf closes
// after the load. A variant of the program has to be loaded with the same ones.
void KeepModuleBtfs(ProgramState& program, const bpf_insn* instructions, size_t count, const int* descriptors) {
  CloseModuleBtfs(program);
  for (size_t i = 0; descriptors && i < count; i++) {
    const bpf_insn& insn = instructions[i];
    bool isModuleCall =
        insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_KFUNC_CALL && insn.off > 0;
    if (!isModuleCall) continue;
    size_t index = insn.off;
    if (program.moduleBtfs.size() <= index) program.moduleBtfs.resize(index + 1);
    if (program.moduleBtfs[index] > 0) continue;
    // Without a descriptor the kernel refuses the variant, and says so.
    program.moduleBtfs[index] = std::max(fcntl(descriptors[index], F_DUPFD_CLOEXEC, 3), 0);
  }
}

}  // namespace

ObjectState::~ObjectState() {
  for (auto& program : programs) CloseModuleBtfs(program);
  bpf_object__close(object);
}

ProgramState& ObjectState::Program(const std::string& name) {
  for (auto& state : programs)
    if (name == bpf_program__name(state.program)) return state;
  Fail("find program " + name, ENOENT, "the object has no program " + name);
}

bpf_map* ObjectState::Map(const std::string& name) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) if (name == MapName(map)) return map;
  Fail("find map " + name, ENOENT, "the object has no map " + name);
}

std::string MapName(const bpf_map* map) {
  std::string name = bpf_map__name(map);
  // libbpf puts (part of) the object's name in front of the section's.
  if (bpf_map__is_internal(map) && name.find('.') != std::string::npos) return name.substr(name.find('.'));
  return name;
}

namespace {

std::shared_ptr<ObjectState> Open(const std::string& bytes, const std::string& name) {
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
  auto state = std::make_shared<ObjectState>();
  errno = 0;
  state->object = bpf_object__open_mem(bytes.data(), bytes.size(), &options);
  if (!state->object) Fail("bpf_object__open_mem", errno ? errno : EINVAL);
  bpf_program* program;
  bpf_object__for_each_program(program, state->object) {
    ProgramState entry{program, !bpf_program__autoload(program), nullptr, {}, {}, {}, {}, {}};
    state->programs.push_back(std::move(entry));
  }
  return state;
}

// Keeps what the verdict needs after a failed load.
void KeepPrepared(ProgramState& state) {
  auto copy = [](const void* data, size_t size) {
    return data ? std::string(static_cast<const char*>(data), size) : std::string();
  };
  bpf_program* program = state.program;
  state.instructions = copy(bpf_program__insns(program), bpf_program__insn_cnt(program) * sizeof(bpf_insn));
  state.lineInfo =
      copy(bpf_program__line_info(program), bpf_program__line_info_cnt(program) * sizeof(bpf_line_info));
  state.funcInfo =
      copy(bpf_program__func_info(program), bpf_program__func_info_cnt(program) * sizeof(bpf_func_info));
}

// objectOpen(operation, bytes, name): parses the ELF file and its BTF. Resolves to {object, log}.
Napi::Value ObjectOpen(const Napi::CallbackInfo& info) {
  auto bytes = std::make_shared<std::string>(Bytes(info[1]));
  std::string name = Text(info[2]);
  return Start(info, [bytes, name]() -> Deliver {
    auto state = Open(*bytes, name);
    return [state, log = CapturedLog()](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("object", Wrap(env, state));
      result.Set("log", log);
      return result;
    };
  });
}

// objectLoad(operation, object): relocates, creates maps, loads programs. Resolves to libbpf's warnings. Which
// programs were tried, and what the verifier wrote, is in objectPrograms() whether it failed or not.
Napi::Value ObjectLoad(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[1]);
  return Start(info, [state]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    Check("bpf_object__prepare", bpf_object__prepare(state->object));
    for (auto& program : state->programs)
      if (bpf_program__autoload(program.program)) KeepPrepared(program);
    if (Cancelled()) Fail("bpf_object__load", ECANCELED);
    loading = state.get();
    int result = bpf_object__load(state->object);
    loading = nullptr;
    Check("bpf_object__load", result);
    return [log = CapturedLog()](Napi::Env env) -> Napi::Value { return Napi::String::New(env, log); };
  });
}

// objectClose(operation, object): unloads its programs and frees its maps.
Napi::Value ObjectClose(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[1]);
  return Start(info, [state]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    for (auto& program : state->programs) CloseModuleBtfs(program);
    state->programs.clear();
    bpf_object__close(state->object);
    state->object = nullptr;
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// The verifier's words: up to the terminating zero that the kernel writes.
Napi::Value LogText(Napi::Env env, const LogBuffer* log) {
  if (!log) return Napi::String::New(env, "");
  return Napi::String::New(env, log->data(), strnlen(log->data(), log->size()));
}

const char* OrEmpty(const char* text) { return text ? text : ""; }

// objectPrograms(object): one description a program, in the order of the file.
Napi::Value ObjectPrograms(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto state = Unwrap<ObjectState>(info[0]);
  std::lock_guard<Mutex> lock(state->mutex);
  Napi::Array list = Napi::Array::New(env);
  for (const auto& entry : state->programs) {
    const bpf_program* program = entry.program;
    Napi::Object item = Napi::Object::New(env);
    auto attachType = bpf_program__expected_attach_type(program);
    item.Set("name", bpf_program__name(program));
    item.Set("section", bpf_program__section_name(program));
    item.Set("typeNumber", Napi::Number::New(env, bpf_program__type(program)));
    item.Set("typeOf", entry.typeOf);
    item.Set("type", OrEmpty(libbpf_bpf_prog_type_str(bpf_program__type(program))));
    item.Set("attachTypeNumber", Napi::Number::New(env, attachType));
    item.Set("attachType", OrEmpty(libbpf_bpf_attach_type_str(attachType)));
    item.Set("autoload", Napi::Boolean::New(env, bpf_program__autoload(program)));
    item.Set("optional", Napi::Boolean::New(env, entry.optional));
    item.Set("fd", Napi::Number::New(env, bpf_program__fd(program)));
    item.Set("insnCount", Napi::Number::New(env, entry.instructions.empty()
                                                     ? bpf_program__insn_cnt(program)
                                                     : entry.instructions.size() / sizeof(bpf_insn)));
    item.Set("lineInfo", MakeBytes(env, entry.lineInfo));
    item.Set("log", LogText(env, entry.log.get()));
    item.Set("logSize", Napi::Number::New(env, entry.log ? entry.log->size() : 0));
    list.Set(list.Length(), item);
  }
  return list;
}

// objectMaps(object): one description a map. `keyTypeId` and `valueTypeId` are ids in the object's BTF.
Napi::Value ObjectMaps(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto state = Unwrap<ObjectState>(info[0]);
  std::lock_guard<Mutex> lock(state->mutex);
  const btf* types = bpf_object__btf(state->object);
  Napi::Array list = Napi::Array::New(env);
  bpf_map* map;
  bpf_object__for_each_map(map, state->object) {
    Napi::Object item = Napi::Object::New(env);
    std::string name = MapName(map);
    bool internal = bpf_map__is_internal(map);
    uint32_t valueType = bpf_map__btf_value_type_id(map);
    // libbpf fills a data section's type id in when it creates the map; before that the section has the same name.
    if (internal && !valueType && types) {
      int id = btf__find_by_name_kind(types, name.c_str(), BTF_KIND_DATASEC);
      if (id > 0) valueType = id;
    }
    item.Set("name", name);
    item.Set("typeNumber", Napi::Number::New(env, bpf_map__type(map)));
    item.Set("type", OrEmpty(libbpf_bpf_map_type_str(bpf_map__type(map))));
    item.Set("keySize", Napi::Number::New(env, bpf_map__key_size(map)));
    item.Set("valueSize", Napi::Number::New(env, bpf_map__value_size(map)));
    item.Set("maxEntries", Napi::Number::New(env, bpf_map__max_entries(map)));
    item.Set("flags", Napi::Number::New(env, bpf_map__map_flags(map)));
    item.Set("keyTypeId", Napi::Number::New(env, bpf_map__btf_key_type_id(map)));
    item.Set("valueTypeId", Napi::Number::New(env, valueType));
    item.Set("globals", Napi::Boolean::New(env, internal));
    item.Set("pinnedAt", OrEmpty(bpf_map__pin_path(map)));
    item.Set("fd", Napi::Number::New(env, bpf_map__fd(map)));
    list.Set(list.Length(), item);
  }
  return list;
}

template <typename Function>
Napi::Value Synchronously(const Napi::CallbackInfo& info, Function work) {
  Napi::Env env = info.Env();
  try {
    work();
  } catch (const Failure& failure) {
    throw ToError(env, failure);
  }
  return env.Undefined();
}

// programSet(object, name, {autoload?, logLevel?, logSize?}): before load.
Napi::Value ProgramSet(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[0]);
  std::string name = Text(info[1]);
  Napi::Object options = info[2].As<Napi::Object>();
  return Synchronously(info, [&] {
    std::lock_guard<Mutex> lock(state->mutex);
    ProgramState& entry = state->Program(name);
    if (Given(options.Get("autoload"))) {
      Check("bpf_program__set_autoload",
            bpf_program__set_autoload(entry.program, options.Get("autoload").ToBoolean()));
    }
    if (Given(options.Get("logLevel"))) {
      Check("bpf_program__set_log_level",
            bpf_program__set_log_level(entry.program, Number(options.Get("logLevel"))));
      entry.log = std::make_unique<LogBuffer>(Number(options.Get("logSize"), 64 * 1024));
      Check("bpf_program__set_log_buf",
            bpf_program__set_log_buf(entry.program, entry.log->data(), entry.log->size()));
    }
  });
}

// programSetTypeOf(object, name, section): the type and attach type that libbpf has for another section's name. Returns
// whether there are any.
Napi::Value ProgramSetTypeOf(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[0]);
  std::string name = Text(info[1]);
  std::string section = Text(info[2]);
  bool known = false;
  Synchronously(info, [&] {
    std::lock_guard<Mutex> lock(state->mutex);
    ProgramState& entry = state->Program(name);
    bpf_program* program = entry.program;
    bpf_prog_type type;
    bpf_attach_type attachType;
    known = libbpf_prog_type_by_name(section.c_str(), &type, &attachType) == 0;
    if (!known) return;
    Check("bpf_program__set_type", bpf_program__set_type(program, type));
    Check("bpf_program__set_expected_attach_type",
          bpf_program__set_expected_attach_type(program, attachType));
    entry.typeOf = section;
  });
  return Napi::Boolean::New(info.Env(), known);
}

// programSetAttachTarget(operation, object, name, function): reads vmlinux BTF, so it may take a while.
Napi::Value ProgramSetAttachTarget(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[1]);
  std::string name = Text(info[2]);
  std::string target = Text(info[3]);
  return Start(info, [state, name, target]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    Check("bpf_program__set_attach_target",
          bpf_program__set_attach_target(state->Program(name).program, 0, target.c_str()));
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// mapSetInitialValue(object, name, bytes): the variables of a data section, before load.
Napi::Value MapSetInitialValue(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[0]);
  std::string name = Text(info[1]);
  std::string value = Bytes(info[2]);
  return Synchronously(info, [&] {
    std::lock_guard<Mutex> lock(state->mutex);
    Check("bpf_map__set_initial_value",
          bpf_map__set_initial_value(state->Map(name), value.data(), value.size()));
  });
}

// mapSetSizes(object, name, {maxEntries?, valueSize?}): before load.
Napi::Value MapSetSizes(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[0]);
  std::string name = Text(info[1]);
  Napi::Object sizes = info[2].As<Napi::Object>();
  return Synchronously(info, [&] {
    std::lock_guard<Mutex> lock(state->mutex);
    bpf_map* map = state->Map(name);
    if (Given(sizes.Get("maxEntries"))) {
      Check("bpf_map__set_max_entries", bpf_map__set_max_entries(map, Number(sizes.Get("maxEntries"))));
    }
    if (Given(sizes.Get("valueSize"))) {
      Check("bpf_map__set_value_size", bpf_map__set_value_size(map, Number(sizes.Get("valueSize"))));
    }
  });
}

}  // namespace

void InitObject(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "objectOpen", ObjectOpen);
  Export(env, exports, "objectLoad", ObjectLoad);
  Export(env, exports, "objectClose", ObjectClose);
  Export(env, exports, "objectPrograms", ObjectPrograms);
  Export(env, exports, "objectMaps", ObjectMaps);
  Export(env, exports, "programSet", ProgramSet);
  Export(env, exports, "programSetAttachTarget", ProgramSetAttachTarget);
  Export(env, exports, "mapSetInitialValue", MapSetInitialValue);
  Export(env, exports, "mapSetSizes", MapSetSizes);
  Export(env, exports, "programSetTypeOf", ProgramSetTypeOf);
}

}  // namespace studio

// libbpf's own calls of bpf_prog_load() are linked to this one (scripts/build-addon.mjs): it alone sees all that libbpf
// passes to the kernel.
extern "C" {
int __real_bpf_prog_load(bpf_prog_type, const char*, const char*, const bpf_insn*, size_t, bpf_prog_load_opts*);

int __wrap_bpf_prog_load(bpf_prog_type type, const char* name, const char* license, const bpf_insn* instructions,
                         size_t count, bpf_prog_load_opts* options) {
  if (studio::loading && name && options)
    for (auto& program : studio::loading->programs)
      if (strcmp(name, bpf_program__name(program.program)) == 0)
        studio::KeepModuleBtfs(program, instructions, count, options->fd_array);
  return __real_bpf_prog_load(type, name, license, instructions, count, options);
}
}
