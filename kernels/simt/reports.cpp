// What a sanitizer reports while a kernel runs becomes the launch's error: each runtime is told to
// print into a file in memory, which is looked at after each block.

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

#if !defined(SIMT_ASAN) && !defined(SIMT_TSAN)

void catch_reports() {}
void look_for_reports() {}

#else

namespace {

int file = -1;
off_t seen;

// The line of a report that says most: the summary, or UndefinedBehaviorSanitizer's only line.
std::string summary(const std::string& report) {
  for (const char* mark : {"SUMMARY: ", "runtime error: ", "ERROR: ", "WARNING: "}) {
    size_t at = report.find(mark);
    if (at == std::string::npos) continue;
    size_t line = std::strncmp(mark, "runtime", 7) == 0 ? report.rfind('\n', at) + 1 : at;
    return report.substr(line, report.find('\n', at) - line);
  }
  return "a sanitizer's report";
}

void print_into_file(const char* library) {
  void* handle = library ? dlopen(library, RTLD_NOW | RTLD_NOLOAD) : RTLD_DEFAULT;
  if (handle == nullptr && library != nullptr) return;
  void* set = dlsym(handle, "__sanitizer_set_report_fd");
  // A descriptor passes as a pointer: the interface is so.
  if (set) reinterpret_cast<void (*)(void*)>(set)(reinterpret_cast<void*>(static_cast<intptr_t>(file)));
}

}  // namespace

void catch_reports() {
  if (file >= 0) return;
  file = memfd_create("sanitizer reports", 0);
  if (file < 0) return;  // reports go to stderr as ever
  print_into_file(nullptr);
#if defined(SIMT_ASAN)
  print_into_file("libubsan.so.1");
#endif
}

void look_for_reports() {
  if (file < 0) return;
  off_t end = lseek(file, 0, SEEK_END);
  if (end <= seen) return;
  std::string report(static_cast<size_t>(end - seen), '\0');
  ssize_t got = pread(file, report.data(), report.size(), seen);
  seen = end;
  report.resize(got > 0 ? static_cast<size_t>(got) : 0);
  if (std::getenv("DOPPEL_SIMT_REPORTS")) std::fwrite(report.data(), 1, report.size(), stderr);
  note_fault("%s (DOPPEL_SIMT_REPORTS=1 prints all of it)", summary(report).c_str());
}

#endif

}  // namespace simt
