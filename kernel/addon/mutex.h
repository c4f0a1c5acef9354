// A mutex that outlives its holder.
//
// The kernel ends a thread whose system call made the kernel itself fault, and that thread alone: nothing that it
// held is unlocked. With a robust mutex the next to come takes it over instead of waiting for ever. What the mutex
// guards is as the system call found it, since a thread is ended in no other place.
#pragma once

#include <errno.h>
#include <pthread.h>

namespace studio {

class Mutex {
 public:
  Mutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  ~Mutex() { pthread_mutex_destroy(&mutex_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // The names that std::lock_guard wants.
  void lock() {
    if (pthread_mutex_lock(&mutex_) == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
  }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

}  // namespace studio
