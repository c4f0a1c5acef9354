// Variants of a loaded program: the same program with other instructions, and the memory they write to.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "object.h"

namespace studio {
namespace {

// programPrepared(object, name): {instructions, lineInfo, funcInfo} as libbpf gave them to the kernel: relocated,
// subprograms appended. References to maps are file descriptors of this process.
Napi::Value ProgramPrepared(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto state = Unwrap<ObjectState>(info[0]);
  std::lock_guard<Mutex> lock(state->mutex);
  const ProgramState& program = state->Program(Text(info[1]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("instructions", MakeBytes(env, program.instructions));
  result.Set("lineInfo", MakeBytes(env, program.lineInfo));
  result.Set("funcInfo", MakeBytes(env, program.funcInfo));
  return result;
}

struct Variant {
  std::string license, instructions, lineInfo, funcInfo;
  uint32_t flags, logLevel, logSize;
};

// Loads the variant with the attributes that the original was loaded with. The attach target is asked of the kernel,
// since libbpf keeps it to itself.
int LoadVariant(bpf_object* object, const ProgramState& state, const Variant& variant, char* log) {
  bpf_program* program = state.program;
  struct bpf_prog_info original = {};
  uint32_t length = sizeof(original);
  Check("BPF_OBJ_GET_INFO_BY_FD", bpf_prog_get_info_by_fd(bpf_program__fd(program), &original, &length));
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = bpf_program__expected_attach_type(program);
  options.prog_flags = bpf_program__flags(program) | variant.flags;
  options.kern_version = bpf_object__kversion(object);
  options.attach_btf_id = original.attach_btf_id;
  int attachBtf = 0;
  if (original.attach_btf_id && original.attach_btf_obj_id) {
    attachBtf = Check("BPF_BTF_GET_FD_BY_ID", bpf_btf_get_fd_by_id(original.attach_btf_obj_id));
    options.attach_btf_obj_fd = attachBtf;
  }
  const btf* types = bpf_object__btf(object);
  if (types && btf__fd(types) >= 0 && !variant.funcInfo.empty()) {
    options.prog_btf_fd = btf__fd(types);
    options.func_info = variant.funcInfo.data();
    options.func_info_cnt = variant.funcInfo.size() / sizeof(bpf_func_info);
    options.func_info_rec_size = sizeof(bpf_func_info);
    options.line_info = variant.lineInfo.data();
    options.line_info_cnt = variant.lineInfo.size() / sizeof(bpf_line_info);
    options.line_info_rec_size = sizeof(bpf_line_info);
  }
  if (!state.moduleBtfs.empty()) options.fd_array = state.moduleBtfs.data();
  options.log_level = variant.logLevel;
  options.log_buf = variant.logLevel ? log : nullptr;
  options.log_size = variant.logLevel ? variant.logSize : 0;
  int fd = bpf_prog_load(bpf_program__type(program), bpf_program__name(program), variant.license.c_str(),
                         reinterpret_cast<const bpf_insn*>(variant.instructions.data()),
                         variant.instructions.size() / sizeof(bpf_insn), &options);
  if (attachBtf) close(attachBtf);
  return fd;
}

// programLoadVariant(operation, object, name, {license, instructions, lineInfo, funcInfo, flags, logLevel, logSize}).
// The program itself must be loaded. Resolves to {fd, log}, or to {fd: -1, errno, log} when the kernel refuses it.
Napi::Value ProgramLoadVariant(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[1]);
  std::string name = Text(info[2]);
  Napi::Object options = info[3].As<Napi::Object>();
  auto variant = std::make_shared<Variant>(Variant{
      Text(options.Get("license")),
      Bytes(options.Get("instructions")),
      Bytes(options.Get("lineInfo")),
      Bytes(options.Get("funcInfo")),
      static_cast<uint32_t>(Number(options.Get("flags"))),
      static_cast<uint32_t>(Number(options.Get("logLevel"))),
      static_cast<uint32_t>(Number(options.Get("logSize"))),
  });
  return Start(info, [state, name, variant]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    LogBuffer log(std::max<uint32_t>(variant->logSize, 4096));
    int fd = LoadVariant(state->object, state->Program(name), *variant, log.data());
    std::string text(log.data(), strnlen(log.data(), log.size()));
    return [fd, text](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("fd", Napi::Number::New(env, fd < 0 ? -1 : fd));
      if (fd < 0) result.Set("errno", ErrnoName(-fd));
      result.Set("log", text);
      return result;
    };
  });
}

// programExchange(object, name, fd): from now on the object's program is the one behind `fd`, for all that attaches
// it; returns a descriptor of the one it was until now.
Napi::Value ProgramExchange(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[0]);
  std::lock_guard<Mutex> lock(state->mutex);
  int present = bpf_program__fd(state->Program(Text(info[1])).program);
  int given = static_cast<int>(Number(info[2]));
  int kept = fcntl(present, F_DUPFD_CLOEXEC, 3);
  // libbpf attaches by descriptor number, so the number is made to mean the other program.
  if (kept < 0 || dup3(given, present, O_CLOEXEC) < 0) {
    int error = errno;
    if (kept >= 0) close(kept);
    throw ToError(info.Env(), Failure{"exchange the program", error, strerror(error)});
  }
  return Napi::Number::New(info.Env(), kept);
}

// Memory of an array map that is shared with this process.
struct SharedMemory {
  ~SharedMemory() {
    if (data) munmap(data, size);
  }
  char* data = nullptr;
  size_t size = 0;
};

// sharedArrayCreate(operation, name, size): an array map of one value of `size` bytes, mapped into this process.
// Resolves to {fd, memory}.
Napi::Value SharedArrayCreate(const Napi::CallbackInfo& info) {
  std::string name = Text(info[1]);
  uint32_t size = static_cast<uint32_t>(Number(info[2]));
  return Start(info, [name, size]() -> Deliver {
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
    int fd = Check("BPF_MAP_CREATE",
                   bpf_map_create(BPF_MAP_TYPE_ARRAY, name.c_str(), sizeof(uint32_t), size, 1, &options));
    auto memory = std::make_shared<SharedMemory>();
    size_t page = sysconf(_SC_PAGESIZE);
    memory->size = (size + page - 1) / page * page;
    void* mapped = mmap(nullptr, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
      int error = errno;
      close(fd);
      Fail("mmap", error);
    }
    memory->data = static_cast<char*>(mapped);
    return [fd, memory](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("fd", Napi::Number::New(env, fd));
      result.Set("memory", Wrap(env, memory));
      return result;
    };
  });
}

// Offset and length of a request, checked against the memory's size.
size_t Within(Napi::Env env, const SharedMemory& memory, int64_t offset, int64_t length) {
  if (offset < 0 || length < 0 || static_cast<uint64_t>(offset + length) > memory.size)
    throw ToError(env, Failure{"access shared memory", EFAULT, "outside of the memory"});
  return static_cast<size_t>(offset);
}

// sharedRead(memory, offset, length): a copy.
Napi::Value SharedRead(const Napi::CallbackInfo& info) {
  auto memory = Unwrap<SharedMemory>(info[0]);
  int64_t length = Number(info[2]);
  size_t offset = Within(info.Env(), *memory, Number(info[1]), length);
  return MakeBytes(info.Env(), std::string(memory->data + offset, static_cast<size_t>(length)));
}

// sharedWrite(memory, offset, bytes)
Napi::Value SharedWrite(const Napi::CallbackInfo& info) {
  auto memory = Unwrap<SharedMemory>(info[0]);
  std::string bytes = Bytes(info[2]);
  size_t offset = Within(info.Env(), *memory, Number(info[1]), static_cast<int64_t>(bytes.size()));
  memcpy(memory->data + offset, bytes.data(), bytes.size());
  return info.Env().Undefined();
}

}  // namespace

void InitVariant(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "programPrepared", ProgramPrepared);
  Export(env, exports, "programLoadVariant", ProgramLoadVariant);
  Export(env, exports, "programExchange", ProgramExchange);
  Export(env, exports, "sharedArrayCreate", SharedArrayCreate);
  Export(env, exports, "sharedRead", SharedRead);
  Export(env, exports, "sharedWrite", SharedWrite);
}

}  // namespace studio
