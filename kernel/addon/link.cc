// Attaching loaded programs to kernel code, processes, perf events, maps and iterators. Each function is attachX(operation, object, program name, options) and resolves to a
// link; what was attached ends with linkDetach() or with the process.
#include "link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

namespace studio {

Deliver DeliverLink(std::shared_ptr<LinkState> state) {
  return [state](Napi::Env env) { return Wrap(env, state); };
}

namespace {

Napi::Value AttachAuto(const Napi::CallbackInfo& info) {
  return Attaching(info, [](bpf_program* program) {
    bpf_link* link = bpf_program__attach(program);
    // Without an error there is nothing to attach: the section says `tracepoint`, not which.
    if (!link && errno == 0) Fail("bpf_program__attach", EOPNOTSUPP);
    return FromLibbpf("bpf_program__attach", link);
  });
}

// {function, offset, return}
Napi::Value AttachKprobe(const Napi::CallbackInfo& info) {
  std::string function = Text(Options(info).Get("function"));
  size_t offset = Number(Options(info).Get("offset"));
  bool isReturn = Options(info).Get("return").ToBoolean();
  return Attaching(info, [=](bpf_program* program) {
    LIBBPF_OPTS(bpf_kprobe_opts, options, .offset = offset, .retprobe = isReturn);
    return FromLibbpf("bpf_program__attach_kprobe_opts",
                      bpf_program__attach_kprobe_opts(program, function.c_str(), &options));
  });
}

std::vector<std::string> Strings(const Napi::Value& value) {
  std::vector<std::string> strings;
  if (!value.IsArray()) return strings;
  Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) strings.push_back(Text(array.Get(i)));
  return strings;
}

// {pattern | functions, return}
Napi::Value AttachKprobeMulti(const Napi::CallbackInfo& info) {
  std::string pattern = Text(Options(info).Get("pattern"));
  auto functions = Strings(Options(info).Get("functions"));
  bool isReturn = Options(info).Get("return").ToBoolean();
  return Attaching(info, [=](bpf_program* program) {
    std::vector<const char*> symbols;
    for (const auto& function : functions) symbols.push_back(function.c_str());
    LIBBPF_OPTS(bpf_kprobe_multi_opts, options, .retprobe = isReturn);
    if (!symbols.empty()) {
      options.syms = symbols.data();
      options.cnt = symbols.size();
    }
    return FromLibbpf("bpf_program__attach_kprobe_multi_opts",
                      bpf_program__attach_kprobe_multi_opts(
                          program, pattern.empty() ? nullptr : pattern.c_str(), &options));
  });
}

// {category, name}
Napi::Value AttachTracepoint(const Napi::CallbackInfo& info) {
  std::string category = Text(Options(info).Get("category"));
  std::string name = Text(Options(info).Get("name"));
  return Attaching(info, [=](bpf_program* program) {
    return FromLibbpf("bpf_program__attach_tracepoint",
                      bpf_program__attach_tracepoint(program, category.c_str(), name.c_str()));
  });
}

// {name}
Napi::Value AttachRawTracepoint(const Napi::CallbackInfo& info) {
  std::string name = Text(Options(info).Get("name"));
  return Attaching(info, [=](bpf_program* program) {
    return FromLibbpf("bpf_program__attach_raw_tracepoint",
                      bpf_program__attach_raw_tracepoint(program, name.c_str()));
  });
}

// fentry, fexit, fmod_ret, tp_btf, LSM: the target was fixed at load.
Napi::Value AttachTrace(const Napi::CallbackInfo& info) {
  return Attaching(info, [](bpf_program* program) {
    bool lsm = bpf_program__type(program) == BPF_PROG_TYPE_LSM;
    return lsm ? FromLibbpf("bpf_program__attach_lsm", bpf_program__attach_lsm(program))
               : FromLibbpf("bpf_program__attach_trace", bpf_program__attach_trace(program));
  });
}

// {binary, function?, offset, return, pid}; pid -1 is every process.
Napi::Value AttachUprobe(const Napi::CallbackInfo& info) {
  std::string binary = Text(Options(info).Get("binary"));
  std::string function = Text(Options(info).Get("function"));
  size_t offset = Unsigned64(Options(info).Get("offset"));
  bool isReturn = Options(info).Get("return").ToBoolean();
  int pid = Number(Options(info).Get("pid"), -1);
  return Attaching(info, [=](bpf_program* program) {
    LIBBPF_OPTS(bpf_uprobe_opts, options, .retprobe = isReturn);
    if (!function.empty()) options.func_name = function.c_str();
    return FromLibbpf("bpf_program__attach_uprobe_opts",
                      bpf_program__attach_uprobe_opts(program, pid, binary.c_str(), offset, &options));
  });
}

// {binary, provider, name, pid}
Napi::Value AttachUsdt(const Napi::CallbackInfo& info) {
  std::string binary = Text(Options(info).Get("binary"));
  std::string provider = Text(Options(info).Get("provider"));
  std::string name = Text(Options(info).Get("name"));
  int pid = Number(Options(info).Get("pid"), -1);
  return Attaching(info, [=](bpf_program* program) {
    return FromLibbpf("bpf_program__attach_usdt",
                      bpf_program__attach_usdt(program, pid, binary.c_str(), provider.c_str(), name.c_str(), nullptr));
  });
}

// {type, config, samplePeriod | sampleFrequency, cpu, pid}: one event, see perf_event_open(2) for cpu and pid -1.
Napi::Value AttachPerfEvent(const Napi::CallbackInfo& info) {
  Napi::Object options = Options(info);
  uint32_t type = Number(options.Get("type"));
  uint64_t config = Unsigned64(options.Get("config"));
  uint64_t period = Unsigned64(options.Get("samplePeriod"));
  uint64_t frequency = Unsigned64(options.Get("sampleFrequency"));
  int cpu = Number(options.Get("cpu"), -1);
  int pid = Number(options.Get("pid"), -1);
  return Attaching(info, [=](bpf_program* program) {
    perf_event_attr attribute = {};
    attribute.size = sizeof(attribute);
    attribute.type = type;
    attribute.config = config;
    if (frequency) {
      attribute.freq = 1;
      attribute.sample_freq = frequency;
    } else {
      attribute.sample_period = period;
    }
    OwnedFd event(syscall(SYS_perf_event_open, &attribute, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC));
    if (event.fd < 0) Fail("perf_event_open", errno);
    bpf_link* link = bpf_program__attach_perf_event(program, event.fd);
    if (!link) Fail("bpf_program__attach_perf_event", errno);
    event.Release();  // The link closes it.
    return DeliverLink(std::make_shared<LinkState>(link));
  });
}

// {map}: a link, from 6.10 on.
Napi::Value AttachSockmap(const Napi::CallbackInfo& info) {
  Fd map(Options(info).Get("map"));
  return Attaching(info, [=](bpf_program* program) {
    return FromLibbpf("bpf_program__attach_sockmap", bpf_program__attach_sockmap(program, map));
  });
}

// sockmapAttach(operation, {map, program, attachType}): descriptors; without a link. Ends with the map, or with
// sockmapDetach. A program that is attached already is replaced.
Napi::Value SockmapAttach(const Napi::CallbackInfo& info) {
  Napi::Object options = info[1].As<Napi::Object>();
  Fd map(options.Get("map")), program(options.Get("program"));
  auto type = static_cast<bpf_attach_type>(Number(options.Get("attachType")));
  return Start(info, [=]() -> Deliver {
    Check("BPF_PROG_ATTACH", bpf_prog_attach(program, map, type, 0));
    return [](Napi::Env env) { return env.Undefined(); };
  });
}
Napi::Value SockmapDetach(const Napi::CallbackInfo& info) {
  Napi::Object options = info[1].As<Napi::Object>();
  Fd map(options.Get("map")), program(options.Get("program"));
  auto type = static_cast<bpf_attach_type>(Number(options.Get("attachType")));
  return Start(info, [=]() -> Deliver {
    Check("BPF_PROG_DETACH", bpf_prog_detach2(program, map, type));
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// {map?, pid?}: what a bpf_map_elem or task iterator is restricted to.
Napi::Value AttachIter(const Napi::CallbackInfo& info) {
  bool hasMap = Given(Options(info).Get("map"));
  Fd map(Options(info).Get("map"));
  uint32_t pid = Number(Options(info).Get("pid"));
  return Attaching(info, [=](bpf_program* program) {
    bpf_iter_link_info target = {};
    LIBBPF_OPTS(bpf_iter_attach_opts, options);
    if (hasMap) target.map.map_fd = map;
    if (pid) target.task.pid = pid;
    if (hasMap || pid) {
      options.link_info = &target;
      options.link_info_len = sizeof(target);
    }
    return FromLibbpf("bpf_program__attach_iter", bpf_program__attach_iter(program, &options));
  });
}

// attachStructOps(operation, object, map name)
Napi::Value AttachStructOps(const Napi::CallbackInfo& info) {
  auto state = Unwrap<ObjectState>(info[1]);
  std::string name = Text(info[2]);
  return Start(info, [state, name]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    return FromLibbpf("bpf_map__attach_struct_ops", bpf_map__attach_struct_ops(state->Map(name)));
  });
}

// linkDetach(operation, link)
Napi::Value LinkDetach(const Napi::CallbackInfo& info) {
  auto state = Unwrap<LinkState>(info[1]);
  return Start(info, [state]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    state->Detach();
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// linkUpdate(operation, link, program descriptor): the link runs that program from now on.
Napi::Value LinkUpdate(const Napi::CallbackInfo& info) {
  auto state = Unwrap<LinkState>(info[1]);
  int program = static_cast<int>(Number(info[2]));
  return Start(info, [state, program]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    Check("BPF_LINK_UPDATE", bpf_link_update(state->fd, program, nullptr));
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

// linkFd(link): -1 when detached.
Napi::Value LinkFd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Unwrap<LinkState>(info[0])->fd);
}

// iterRead(operation, link, maxBytes): runs an iterator once. Resolves to {data, truncated}.
Napi::Value IterRead(const Napi::CallbackInfo& info) {
  auto state = Unwrap<LinkState>(info[1]);
  size_t limit = Number(info[2]);
  return Start(info, [state, limit]() -> Deliver {
    std::lock_guard<Mutex> lock(state->mutex);
    OwnedFd iterator(Check("BPF_ITER_CREATE", bpf_iter_create(state->fd)));
    auto text = std::make_shared<std::string>();
    bool truncated = false;
    std::string chunk(64 * 1024, '\0');
    while (!Cancelled()) {
      ssize_t count = read(iterator.fd, chunk.data(), chunk.size());
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count < 0) Fail("read from the iterator", errno);
      if (count == 0) break;
      text->append(chunk, 0, count);
      if (text->size() > limit) {
        truncated = true;
        text->resize(limit);
        break;
      }
    }
    if (Cancelled()) Fail("read from the iterator", ECANCELED);
    return [text, truncated](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("data", MakeBytes(env, std::move(*text)));
      result.Set("truncated", Napi::Boolean::New(env, truncated));
      return result;
    };
  });
}

}  // namespace

void InitLink(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "attachAuto", AttachAuto);
  Export(env, exports, "attachKprobe", AttachKprobe);
  Export(env, exports, "attachKprobeMulti", AttachKprobeMulti);
  Export(env, exports, "attachTracepoint", AttachTracepoint);
  Export(env, exports, "attachRawTracepoint", AttachRawTracepoint);
  Export(env, exports, "attachTrace", AttachTrace);
  Export(env, exports, "attachUprobe", AttachUprobe);
  Export(env, exports, "attachUsdt", AttachUsdt);
  Export(env, exports, "attachPerfEvent", AttachPerfEvent);
  Export(env, exports, "attachSockmap", AttachSockmap);
  Export(env, exports, "sockmapAttach", SockmapAttach);
  Export(env, exports, "sockmapDetach", SockmapDetach);
  Export(env, exports, "attachIter", AttachIter);
  Export(env, exports, "attachStructOps", AttachStructOps);
  Export(env, exports, "linkDetach", LinkDetach);
  Export(env, exports, "linkUpdate", LinkUpdate);
  Export(env, exports, "linkFd", LinkFd);
  Export(env, exports, "iterRead", IterRead);
}

}  // namespace studio
