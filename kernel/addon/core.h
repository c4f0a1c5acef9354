// What every part of the addon shares: work on threads of its own, cancellation that reaches into a system call,
// and errors that keep errno and libbpf's words.
//
// The addon is thin: a function here is one libbpf call or a few that belong together. What to call, in which
// order, and what an error means to a user is decided in TypeScript (kernel/host).
#pragma once

#include <napi.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace studio {

// A failed call: which one, the positive errno, and a sentence. Thrown inside work, it rejects the promise with an
// Error that has `operation`, `code` (errno's name), `errno` and `libbpfLog`.
struct Failure {
  std::string operation;
  int error;
  std::string message;
};

// Throws a Failure for libbpf's convention of a negative errno.
[[noreturn]] void Fail(const std::string& operation, int error, const std::string& message = {});
inline int Check(const std::string& operation, int result) {
  if (result < 0) Fail(operation, -result);
  return result;
}

// The Error that JavaScript gets for a failure.
Napi::Error ToError(Napi::Env env, const Failure& failure, const std::string& libbpfLog = {});

// The errno's symbolic name, `EPERM`; `errno 524` for those that glibc does not name.
std::string ErrnoName(int error);

// A caller's handle on work under way. One operation may cover several jobs one after the other.
struct OperationState {
  std::mutex mutex;
  // The thread at work, 0 when there is none.
  pid_t thread = 0;
  std::atomic<bool> cancelled{false};
};

// Makes the JavaScript value of a result, on JavaScript's thread.
using Deliver = std::function<Napi::Value(Napi::Env)>;
using Work = std::function<Deliver()>;

// Runs `work` on a thread of its own and returns a promise. `info[0]` is an Operation or null; cancelling it
// interrupts a system call that answers to signals (BPF_PROG_LOAD and BPF_PROG_TEST_RUN do), again and again until
// the work returns. The promise is rejected with EOWNERDEAD when the kernel ended the thread inside a system call.
Napi::Value Start(const Napi::CallbackInfo& info, Work work);

// libbpf's warnings of the calling thread since its work began. libbpf's print callback is one for the process;
// a buffer for each thread keeps concurrent loads apart.
std::string& CapturedLog();
// Whether the operation of the calling thread was cancelled.
bool Cancelled();

// Moves the calling (worker) thread into a network namespace. The thread ends with its work, so nothing is undone.
void EnterNetworkNamespace(const std::string& path);

// A C++ object that JavaScript holds.
template <class T>
Napi::Value Wrap(Napi::Env env, std::shared_ptr<T> object) {
  return Napi::External<std::shared_ptr<T>>::New(env, new std::shared_ptr<T>(std::move(object)),
                                                  [](Napi::Env, std::shared_ptr<T>* held) { delete held; });
}
template <class T>
std::shared_ptr<T> Unwrap(const Napi::Value& value) {
  return *value.As<Napi::External<std::shared_ptr<T>>>().Data();
}

// A duplicate of a file descriptor, for work that may still run when JavaScript closes the original.
class Fd {
 public:
  explicit Fd(const Napi::Value& value);
  operator int() const { return *held_; }

 private:
  std::shared_ptr<int> held_;
};

// Arguments.
std::string Bytes(const Napi::Value& value);  // a copy: the buffer may be collected or changed meanwhile
std::string Text(const Napi::Value& value);   // empty for undefined and null
int64_t Number(const Napi::Value& value, int64_t otherwise = 0);
uint64_t Unsigned64(const Napi::Value& value, uint64_t otherwise = 0);
bool Given(const Napi::Value& value);
// A Uint8Array over `bytes`, without a copy where the runtime allows foreign memory.
Napi::Value MakeBytes(Napi::Env env, std::string bytes);

// The subjects; each adds its functions to the exports.
void InitObject(Napi::Env env, Napi::Object exports);
void InitProgram(Napi::Env env, Napi::Object exports);
void InitVariant(Napi::Env env, Napi::Object exports);
void InitMap(Napi::Env env, Napi::Object exports);
void InitLink(Napi::Env env, Napi::Object exports);
void InitNetworkLink(Napi::Env env, Napi::Object exports);
void InitTc(Napi::Env env, Napi::Object exports);
void InitNetwork(Napi::Env env, Napi::Object exports);
void InitBtf(Napi::Env env, Napi::Object exports);
void InitEnumerate(Napi::Env env, Napi::Object exports);
void InitProbe(Napi::Env env, Napi::Object exports);
void InitSymbols(Napi::Env env, Napi::Object exports);
void InitReader(Napi::Env env, Napi::Object exports);
void InitProcess(Napi::Env env, Napi::Object exports);

// Adds a function under a name.
template <typename Callable>
void Export(Napi::Env env, Napi::Object exports, const char* name, Callable function) {
  exports.Set(name, Napi::Function::New(env, function, name));
}

}  // namespace studio
