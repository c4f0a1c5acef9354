// An opened ELF object and what its load left to be asked for.
#pragma once

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mutex.h"

namespace studio {

// Memory for a verifier log. Pages that the kernel does not write cost nothing, so it may be asked for generously.
class LogBuffer {
 public:
  explicit LogBuffer(size_t size);
  ~LogBuffer();
  LogBuffer(const LogBuffer&) = delete;
  LogBuffer& operator=(const LogBuffer&) = delete;
  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_;
  size_t size_;
};

struct ProgramState {
  bpf_program* program;
  // In SEC("?…"): libbpf takes the mark off the section's name and does not load it by itself.
  bool optional;
  std::unique_ptr<LogBuffer> log;
  // As prepared for the kernel. libbpf frees them when a load fails, which is when they are needed most.
  std::string instructions;
  std::string lineInfo;
  std::string funcInfo;
  // The section whose type it was given, when its own says none.
  std::string typeOf;
  // Descriptors of the BTFs of kernel modules whose functions it calls, by the index that its calls have in `off`;
  // 0 where there is none. Owned by the object.
  std::vector<int> moduleBtfs;
};

struct ObjectState {
  ~ObjectState();
  // libbpf's objects are not thread-safe: whoever works on one holds this.
  Mutex mutex;
  bpf_object* object = nullptr;
  std::vector<ProgramState> programs;

  ProgramState& Program(const std::string& name);
  bpf_map* Map(const std::string& name);
};

// The name of a map's section for the maps libbpf makes for global variables (`.rodata`), otherwise the map's name.
std::string MapName(const bpf_map* map);

}  // namespace studio
