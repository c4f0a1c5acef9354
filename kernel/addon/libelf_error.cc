// libelf's error number, in place of the archive's elf_error.o.
//
// Distributions compile libelf.a for executables: its one thread-local variable is addressed in a way
// (R_X86_64_TPOFF32) that a shared object cannot use. These three functions are all that member defines, so the
// linker takes these and leaves it out; everything else of the archive links as it is.
#include <stdio.h>

static thread_local int last_error;

extern "C" {

void __libelf_seterrno(int value) { last_error = value; }

int elf_errno(void) {
  int value = last_error;
  last_error = 0;
  return value;
}

// 0 asks for the last error or none, -1 for the last error in any case.
const char* elf_errmsg(int error) {
  static thread_local char text[64];
  int value = error == 0 || error == -1 ? last_error : error;
  if (error == 0 && value == 0) return nullptr;
  if (value == 0) return "no error";
  snprintf(text, sizeof(text), "the file's ELF structure is not valid (libelf error %d)", value);
  return text;
}
}
