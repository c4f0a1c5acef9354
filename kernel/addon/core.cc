#include "core.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdarg>
#include <system_error>
#include <thread>

namespace studio {
namespace {

// Interrupts a thread's system call. Its handler does nothing and is installed without SA_RESTART, so that the call
// returns EINTR (or the verifier EAGAIN). A real-time signal that neither Node nor glibc uses.
int InterruptSignal() { return SIGRTMIN + 12; }

thread_local std::string captured;
thread_local OperationState* current = nullptr;

int Print(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  size_t start = captured.size();
  captured.resize(start + length + 1);
  vsnprintf(captured.data() + start, length + 1, format, arguments);
  captured.resize(start + length);
  return length;
}

// What the addon keeps for each JavaScript environment that loads it.
struct Instance {
  Napi::ThreadSafeFunction queue;
  Napi::FunctionReference operation;
  int running = 0;
};

// Signals are Node's: its main thread takes them.
void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

class Operation : public Napi::ObjectWrap<Operation> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Operation", {InstanceMethod("cancel", &Operation::Cancel)});
  }
  explicit Operation(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Operation>(info), state_(std::make_shared<OperationState>()) {}
  std::shared_ptr<OperationState> state() const { return state_; }

 private:
  void Cancel(const Napi::CallbackInfo&) {
    if (state_->cancelled.exchange(true)) return;
    // libbpf tries a load again up to five times after EAGAIN, so one signal is not enough.
    std::thread([state = state_] {
      for (;;) {
        {
          std::lock_guard<std::mutex> lock(state->mutex);
          if (!state->thread) return;
          // By number: unlike a pthread_t it may be used after the kernel ended the thread.
          if (syscall(SYS_tgkill, getpid(), state->thread, InterruptSignal()) < 0) return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    }).detach();
  }
  std::shared_ptr<OperationState> state_;
};

struct Job {
  explicit Job(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise::Deferred deferred;
  std::shared_ptr<OperationState> operation;
  Work work;
  Deliver deliver;
  Failure failure{"", 0, ""};
  std::string log;
  bool returned = false;

  // Does the work on a thread of its own and waits for that thread's end. A system call in which the kernel itself
  // faults never returns: the kernel ends the thread that made it, and no other. So somebody else has to notice.
  void Perform() {
    BlockSignals();
    try {
      std::thread([this] { Run(); }).join();
    } catch (const std::system_error& thrown) {
      failure = {"start a thread", thrown.code().value(), thrown.what()};
      returned = true;
    }
    if (returned) return;
    deliver = nullptr;
    failure = {"system call", EOWNERDEAD, "the kernel ended the thread that made it"};
    work = nullptr;
    std::lock_guard<std::mutex> lock(operation->mutex);
    operation->thread = 0;
  }

  void Run() {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, InterruptSignal());
    pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
    {
      std::lock_guard<std::mutex> lock(operation->mutex);
      operation->thread = gettid();
    }
    current = operation.get();
    try {
      if (operation->cancelled) Fail("start", ECANCELED);
      deliver = work();
    } catch (const Failure& thrown) {
      failure = thrown;
      if (operation->cancelled) failure.error = ECANCELED;
    } catch (const std::exception& thrown) {
      // Memory for a result of the size that was asked for (bad_alloc, length_error).
      failure = {"allocate", ENOMEM, std::string("not enough memory: ") + thrown.what()};
    }
    work = nullptr;  // What it holds is released here, not on JavaScript's thread.
    current = nullptr;
    log = std::move(captured);
    returned = true;
    std::lock_guard<std::mutex> lock(operation->mutex);
    operation->thread = 0;
  }

  void Settle(Napi::Env env) {
    Napi::HandleScope scope(env);
    if (deliver) {
      try {
        deferred.Resolve(deliver(env));
      } catch (const Napi::Error& error) {
        deferred.Reject(error.Value());
      }
      return;
    }
    deferred.Reject(ToError(env, failure, log).Value());
  }
};

}  // namespace

void Fail(const std::string& operation, int error, const std::string& message) {
  std::string text = message;
  if (text.empty()) {
    char buffer[256];
    libbpf_strerror(error, buffer, sizeof(buffer));
    text = buffer;
  }
  throw Failure{operation, error, text};
}

Napi::Error ToError(Napi::Env env, const Failure& failure, const std::string& libbpfLog) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("operation", failure.operation);
  error.Set("errno", Napi::Number::New(env, failure.error));
  error.Set("code", ErrnoName(failure.error));
  error.Set("libbpfLog", libbpfLog);
  return error;
}

std::string ErrnoName(int error) {
  // Errors that cross from the kernel without a name in user space.
  switch (error) {
    case 524: return "ENOTSUPP";
    case 512: return "ERESTARTSYS";
  }
  if (error >= __LIBBPF_ERRNO__START && error < __LIBBPF_ERRNO__END) return "LIBBPF_ERRNO";
  const char* name = strerrorname_np(error);
  return name ? name : "errno " + std::to_string(error);
}

std::string& CapturedLog() { return captured; }
bool Cancelled() { return current && current->cancelled; }

Napi::Value Start(const Napi::CallbackInfo& info, Work work) {
  Napi::Env env = info.Env();
  auto* instance = env.GetInstanceData<Instance>();
  Job* job = new Job(env);
  job->work = std::move(work);
  Napi::Value given = info.Length() > 0 ? info[0] : env.Undefined();
  job->operation = given.IsObject() ? Napi::ObjectWrap<Operation>::Unwrap(given.As<Napi::Object>())->state()
                                    : std::make_shared<OperationState>();
  Napi::Value promise = job->deferred.Promise();
  if (instance->running++ == 0) instance->queue.Ref(env);
  std::thread([job, instance] {
    job->Perform();
    instance->queue.BlockingCall(job, [instance](Napi::Env env, Napi::Function, Job* done) {
      std::unique_ptr<Job> owned(done);
      if (--instance->running == 0) instance->queue.Unref(env);
      owned->Settle(env);
    });
  }).detach();
  return promise;
}

void EnterNetworkNamespace(const std::string& path) {
  if (path.empty()) return;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail("open network namespace " + path, errno);
  int result = setns(fd, CLONE_NEWNET);
  int error = errno;
  close(fd);
  if (result < 0) Fail("enter network namespace " + path, error);
}

Fd::Fd(const Napi::Value& value)
    : held_(new int(fcntl(Number(value, -1), F_DUPFD_CLOEXEC, 3)), [](int* fd) {
        if (*fd >= 0) close(*fd);
        delete fd;
      }) {}

std::string Bytes(const Napi::Value& value) {
  if (!Given(value)) return {};
  auto array = value.As<Napi::Uint8Array>();
  return std::string(reinterpret_cast<const char*>(array.Data()), array.ByteLength());
}
std::string Text(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}
int64_t Number(const Napi::Value& value, int64_t otherwise) {
  return value.IsNumber() ? value.As<Napi::Number>().Int64Value() : otherwise;
}
uint64_t Unsigned64(const Napi::Value& value, uint64_t otherwise) {
  bool lossless;
  if (value.IsBigInt()) return value.As<Napi::BigInt>().Uint64Value(&lossless);
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : otherwise;
}
bool Given(const Napi::Value& value) { return !value.IsUndefined() && !value.IsNull(); }

Napi::Value MakeBytes(Napi::Env env, std::string bytes) {
  auto* held = new std::string(std::move(bytes));
  return Napi::Buffer<char>::NewOrCopy(env, held->data(), held->size(),
                                       [](Napi::Env, char*, std::string* hint) { delete hint; }, held);
}

namespace {

// Threads may still be at work when the environment ends, so the instance is never freed.
void KeepInstance(Napi::Env, Instance*) {}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* instance = new Instance;
  // JavaScript never sees this function; the queue only brings results back to its thread.
  auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  instance->queue = Napi::ThreadSafeFunction::New(env, nothing, "bpf-studio", 0, 1);
  instance->queue.Unref(env);
  env.SetInstanceData<Instance, KeepInstance>(instance);

  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(InterruptSignal(), &action, nullptr);
  libbpf_set_print(Print);

  exports.Set("Operation", Operation::Define(env));
  exports.Set("libbpfVersion", Napi::String::New(env, libbpf_version_string() + 1));
  InitObject(env, exports);
  InitProgram(env, exports);
  InitVariant(env, exports);
  InitMap(env, exports);
  InitLink(env, exports);
  InitNetworkLink(env, exports);
  InitTc(env, exports);
  InitNetwork(env, exports);
  InitBtf(env, exports);
  InitEnumerate(env, exports);
  InitProbe(env, exports);
  InitSymbols(env, exports);
  InitReader(env, exports);
  InitProcess(env, exports);
  return exports;
}

}  // namespace
}  // namespace studio

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return studio::Init(env, exports); }
NODE_API_MODULE(bpf_studio, Init)
