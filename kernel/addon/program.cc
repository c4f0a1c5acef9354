// Loaded programs by file descriptor: test runs and information.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "core.h"

namespace studio {
namespace {

// programTestRun(operation, fd, {data?, context?, contextInPlace?, dataOutSize, contextOutSize, repeat, cpu, flags,
// batchSize}). Resolves to {returnValue, duration, data, context}. With `contextInPlace` the kernel writes the
// resulting context over the given one, which is what programs of type syscall have instead of an output.
Napi::Value ProgramTestRun(const Napi::CallbackInfo& info) {
  struct Input {
    std::string data, context;
    size_t dataOutSize, contextOutSize;
    uint32_t repeat, cpu, flags, batchSize;
    bool contextInPlace;
  };
  Fd fd(info[1]);
  Napi::Object options = info[2].As<Napi::Object>();
  auto input = std::make_shared<Input>(Input{
      Bytes(options.Get("data")),
      Bytes(options.Get("context")),
      static_cast<size_t>(Number(options.Get("dataOutSize"))),
      static_cast<size_t>(Number(options.Get("contextOutSize"))),
      static_cast<uint32_t>(Number(options.Get("repeat"))),
      static_cast<uint32_t>(Number(options.Get("cpu"))),
      static_cast<uint32_t>(Number(options.Get("flags"))),
      static_cast<uint32_t>(Number(options.Get("batchSize"))),
      options.Get("contextInPlace").ToBoolean(),
  });
  return Start(info, [fd, input]() -> Deliver {
    std::string dataOut(input->dataOutSize, '\0');
    std::string contextOut(input->contextOutSize, '\0');
    LIBBPF_OPTS(bpf_test_run_opts, run);
    // An absent input must be a null pointer: the kernel refuses inputs that a program type does not take.
    if (!input->data.empty()) run.data_in = input->data.data();
    run.data_size_in = input->data.size();
    if (!input->context.empty()) run.ctx_in = input->context.data();
    run.ctx_size_in = input->context.size();
    if (!dataOut.empty()) run.data_out = dataOut.data();
    run.data_size_out = dataOut.size();
    if (!contextOut.empty()) run.ctx_out = contextOut.data();
    run.ctx_size_out = contextOut.size();
    run.repeat = input->repeat;
    run.cpu = input->cpu;
    run.flags = input->flags;
    run.batch_size = input->batchSize;
    Check("BPF_PROG_TEST_RUN", bpf_prog_test_run_opts(fd, &run));
    dataOut.resize(std::min<size_t>(dataOut.size(), run.data_size_out));
    contextOut.resize(std::min<size_t>(contextOut.size(), run.ctx_size_out));
    if (input->contextInPlace) contextOut = std::move(input->context);
    auto output = std::make_shared<std::pair<std::string, std::string>>(std::move(dataOut), std::move(contextOut));
    return [output, returnValue = run.retval, duration = run.duration](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("returnValue", Napi::Number::New(env, returnValue));
      result.Set("duration", Napi::Number::New(env, duration));
      result.Set("data", MakeBytes(env, std::move(output->first)));
      result.Set("context", MakeBytes(env, std::move(output->second)));
      return result;
    };
  });
}

std::string Hex(const unsigned char* bytes, size_t size) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; i++) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

// programInfo(operation, fd): the fields of struct bpf_prog_info that are plain values, and the ids of its maps.
Napi::Value ProgramInfo(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  return Start(info, [fd]() -> Deliver {
    struct bpf_prog_info program = {};
    uint32_t length = sizeof(program);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_prog_get_info_by_fd(fd, &program, &length));
    std::vector<uint32_t> maps(program.nr_map_ids);
    if (!maps.empty()) {
      uint32_t count = maps.size();
      program = {};
      program.nr_map_ids = count;
      program.map_ids = reinterpret_cast<uint64_t>(maps.data());
      length = sizeof(program);
      Check("BPF_OBJ_GET_INFO_BY_FD", bpf_prog_get_info_by_fd(fd, &program, &length));
      maps.resize(std::min<size_t>(maps.size(), program.nr_map_ids));
    }
    return [program, maps](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      const char* type = libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(program.type));
      result.Set("id", Napi::Number::New(env, program.id));
      result.Set("typeNumber", Napi::Number::New(env, program.type));
      result.Set("type", type ? std::string(type) : "type " + std::to_string(program.type));
      result.Set("name", std::string(program.name, strnlen(program.name, sizeof(program.name))));
      result.Set("tag", Hex(program.tag, sizeof(program.tag)));
      result.Set("loadTime", Napi::BigInt::New(env, static_cast<uint64_t>(program.load_time)));
      result.Set("btfId", Napi::Number::New(env, program.btf_id));
      result.Set("runCount", Napi::BigInt::New(env, static_cast<uint64_t>(program.run_cnt)));
      result.Set("runTimeNs", Napi::BigInt::New(env, static_cast<uint64_t>(program.run_time_ns)));
      result.Set("verifiedInsns", Napi::Number::New(env, program.verified_insns));
      result.Set("jitedSize", Napi::Number::New(env, program.jited_prog_len));
      Napi::Array ids = Napi::Array::New(env, maps.size());
      for (size_t i = 0; i < maps.size(); i++) ids.Set(i, Napi::Number::New(env, maps[i]));
      result.Set("mapIds", ids);
      return result;
    };
  });
}

// programDump(operation, fd): {instructions, lineInfo, funcInfo} as the kernel keeps them (xlated).
Napi::Value ProgramDump(const Napi::CallbackInfo& info) {
  Fd fd(info[1]);
  return Start(info, [fd]() -> Deliver {
    struct bpf_prog_info sizes = {};
    uint32_t length = sizeof(sizes);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_prog_get_info_by_fd(fd, &sizes, &length));
    struct Dump {
      std::string instructions, lines, functions;
    };
    auto dump = std::make_shared<Dump>();
    dump->instructions.resize(sizes.xlated_prog_len);
    dump->lines.resize(sizes.nr_line_info * sizeof(bpf_line_info));
    dump->functions.resize(sizes.nr_func_info * sizeof(bpf_func_info));
    struct bpf_prog_info full = {};
    full.xlated_prog_len = dump->instructions.size();
    full.xlated_prog_insns = reinterpret_cast<uint64_t>(dump->instructions.data());
    full.nr_line_info = sizes.nr_line_info;
    full.line_info_rec_size = sizeof(bpf_line_info);
    full.line_info = reinterpret_cast<uint64_t>(dump->lines.data());
    full.nr_func_info = sizes.nr_func_info;
    full.func_info_rec_size = sizeof(bpf_func_info);
    full.func_info = reinterpret_cast<uint64_t>(dump->functions.data());
    length = sizeof(full);
    Check("BPF_OBJ_GET_INFO_BY_FD", bpf_prog_get_info_by_fd(fd, &full, &length));
    return [dump](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("instructions", MakeBytes(env, std::move(dump->instructions)));
      result.Set("lineInfo", MakeBytes(env, std::move(dump->lines)));
      result.Set("funcInfo", MakeBytes(env, std::move(dump->functions)));
      return result;
    };
  });
}

}  // namespace

void InitProgram(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "programTestRun", ProgramTestRun);
  Export(env, exports, "programInfo", ProgramInfo);
  Export(env, exports, "programDump", ProgramDump);
}

}  // namespace studio
