// Readers of ring buffers, perf event arrays and the trace pipe: one thread each, which hands over records in batches
// and stops consuming while JavaScript is behind. What the kernel drops meanwhile it counts itself where it can.
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <thread>

#include "core.h"

namespace studio {
namespace {

// Batches handed over and not yet acknowledged.
constexpr int kMaxOutstanding = 8;
constexpr size_t kMaxRecords = 8192;
// Programs may commit records without waking readers (BPF_RB_NO_WAKEUP), so the buffer is looked at now and then.
constexpr int kPollMs = 100;
constexpr size_t kPerfPages = 64;
// A flush of a buffer that is written all the time ends after so many batches.
constexpr int kFlushBatches = 64;

struct Batch {
  std::string data;               // records back to back
  std::vector<uint32_t> lengths;  // of each
  std::vector<int32_t> cpus;
  uint64_t lost = 0;
  uint32_t flushed = 0;           // number of the last flush that ends with this batch; 0: none
  bool Empty() const { return lengths.empty() && lost == 0; }
};

struct Reader {
  int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int wait = -1;                             // descriptor to poll
  std::function<void(Batch&)> consume;       // takes what is there
  std::function<void()> release;
  std::thread thread;
  Napi::ThreadSafeFunction callback;
  std::mutex mutex;
  std::condition_variable acknowledged;
  int outstanding = 0;
  bool stopping = false;
  uint32_t flushesAsked = 0;
  Batch* batch = nullptr;                    // where libbpf's callbacks put records

  void Run();
  bool WaitForRoom();
  uint32_t FlushesAsked();
  void Deliver(std::unique_ptr<Batch> full);
};

bool Reader::WaitForRoom() {
  std::unique_lock<std::mutex> lock(mutex);
  acknowledged.wait(lock, [this] { return stopping || outstanding < kMaxOutstanding; });
  return !stopping;
}

uint32_t Reader::FlushesAsked() {
  std::lock_guard<std::mutex> lock(mutex);
  return flushesAsked;
}

void Reader::Run() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  uint32_t answered = 0;
  int batches = 0;
  while (WaitForRoom()) {
    pollfd descriptors[] = {{wait, POLLIN, 0}, {wake, POLLIN, 0}};
    poll(descriptors, 2, FlushesAsked() == answered ? kPollMs : 0);
    eventfd_t ignored;
    eventfd_read(wake, &ignored);
    // What a flush is about was in the buffer when it was asked for, so the question comes before the look.
    uint32_t asked = FlushesAsked();
    auto full = std::make_unique<Batch>();
    batch = full.get();
    consume(*full);
    batch = nullptr;
    if (asked != answered && (full->Empty() || ++batches == kFlushBatches)) {
      full->flushed = answered = asked;
      batches = 0;
    }
    if (!full->Empty() || full->flushed) Deliver(std::move(full));
  }
}

void Reader::Deliver(std::unique_ptr<Batch> full) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    outstanding++;
  }
  callback.BlockingCall(full.release(), [](Napi::Env env, Napi::Function function, Batch* given) {
    std::unique_ptr<Batch> owned(given);
    if (static_cast<napi_env>(env) == nullptr) return;
    Napi::Object event = Napi::Object::New(env);
    Napi::Uint32Array lengths = Napi::Uint32Array::New(env, owned->lengths.size());
    Napi::Int32Array cpus = Napi::Int32Array::New(env, owned->cpus.size());
    for (size_t i = 0; i < owned->lengths.size(); i++) {
      lengths[i] = owned->lengths[i];
      cpus[i] = owned->cpus[i];
    }
    event.Set("data", MakeBytes(env, std::move(owned->data)));
    event.Set("lengths", lengths);
    event.Set("cpus", cpus);
    event.Set("lost", Napi::Number::New(env, owned->lost));
    event.Set("flushed", Napi::Number::New(env, owned->flushed));
    function.Call({event});
  });
}

void Add(Batch* batch, int cpu, const void* data, size_t size) {
  batch->data.append(static_cast<const char*>(data), size);
  batch->lengths.push_back(size);
  batch->cpus.push_back(cpu);
}

void OpenRingBuffer(Reader* reader, int fd) {
  auto onRecord = [](void* context, void* data, size_t size) -> int {
    // The kernel does not say which CPU wrote a ring buffer's record.
    Add(static_cast<Reader*>(context)->batch, -1, data, size);
    return 0;
  };
  ring_buffer* ring = ring_buffer__new(fd, onRecord, reader, nullptr);
  if (!ring) Fail("ring_buffer__new", errno);
  reader->wait = ring_buffer__epoll_fd(ring);
  reader->consume = [ring](Batch&) { ring_buffer__consume_n(ring, kMaxRecords); };
  reader->release = [ring] { ring_buffer__free(ring); };
}

void OpenPerfBuffer(Reader* reader, int fd) {
  auto onRecord = [](void* context, int cpu, void* data, uint32_t size) {
    Add(static_cast<Reader*>(context)->batch, cpu, data, size);
  };
  auto onLost = [](void* context, int, unsigned long long count) {
    static_cast<Reader*>(context)->batch->lost += count;
  };
  perf_buffer* buffer = perf_buffer__new(fd, kPerfPages, onRecord, onLost, reader, nullptr);
  if (!buffer) Fail("perf_buffer__new", errno);
  reader->wait = perf_buffer__epoll_fd(buffer);
  reader->consume = [buffer](Batch&) { perf_buffer__consume(buffer); };
  reader->release = [buffer] { perf_buffer__free(buffer); };
}

void OpenPipe(Reader* reader, const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) Fail("open " + path, errno);
  reader->wait = fd;
  reader->consume = [fd](Batch& batch) {
    std::string chunk(64 * 1024, '\0');
    ssize_t count = read(fd, chunk.data(), chunk.size());
    if (count > 0) Add(&batch, -1, chunk.data(), count);
  };
  reader->release = [fd] { close(fd); };
}

// readerOpen(kind, fd or path, callback): `ringbuf`, `perf` or `pipe`. The callback gets {data, lengths, cpus, lost,
// flushed} and must be answered with readerAcknowledge().
Napi::Value ReaderOpen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string kind = Text(info[0]);
  auto reader = std::make_shared<Reader>();
  try {
    if (kind == "ringbuf") {
      OpenRingBuffer(reader.get(), Number(info[1], -1));
    } else if (kind == "perf") {
      OpenPerfBuffer(reader.get(), Number(info[1], -1));
    } else {
      OpenPipe(reader.get(), Text(info[1]));
    }
  } catch (const Failure& failure) {
    throw ToError(env, failure);
  }
  reader->callback = Napi::ThreadSafeFunction::New(env, info[2].As<Napi::Function>(), "bpf-studio reader", 0, 1);
  reader->thread = std::thread([reader] { reader->Run(); });
  return Wrap(env, reader);
}

// readerAcknowledge(reader): one batch was passed on.
Napi::Value ReaderAcknowledge(const Napi::CallbackInfo& info) {
  auto reader = Unwrap<Reader>(info[0]);
  {
    std::lock_guard<std::mutex> lock(reader->mutex);
    reader->outstanding--;
  }
  reader->acknowledged.notify_one();
  return info.Env().Undefined();
}

// readerFlush(reader): the flush's number; `flushed` of the batch that ends with what is in the buffer now is not less.
Napi::Value ReaderFlush(const Napi::CallbackInfo& info) {
  auto reader = Unwrap<Reader>(info[0]);
  uint32_t asked;
  {
    std::lock_guard<std::mutex> lock(reader->mutex);
    asked = ++reader->flushesAsked;
  }
  eventfd_write(reader->wake, 1);
  return Napi::Number::New(info.Env(), asked);
}

// readerClose(operation, reader)
Napi::Value ReaderClose(const Napi::CallbackInfo& info) {
  auto reader = Unwrap<Reader>(info[1]);
  return Start(info, [reader]() -> Deliver {
    {
      std::lock_guard<std::mutex> lock(reader->mutex);
      if (reader->stopping) return [](Napi::Env env) { return env.Undefined(); };
      reader->stopping = true;
    }
    reader->acknowledged.notify_one();
    eventfd_write(reader->wake, 1);
    reader->thread.join();
    reader->release();
    close(reader->wake);
    reader->callback.Release();
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

}  // namespace

void InitReader(Napi::Env env, Napi::Object exports) {
  Export(env, exports, "readerOpen", ReaderOpen);
  Export(env, exports, "readerAcknowledge", ReaderAcknowledge);
  Export(env, exports, "readerFlush", ReaderFlush);
  Export(env, exports, "readerClose", ReaderClose);
}

}  // namespace studio
