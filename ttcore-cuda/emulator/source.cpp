// Where in the source a machine instruction comes from: by addr2line, as compilers know it.

#include "source.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace race {

// Calls that are named around the innermost one.
const unsigned MOST_CALLS = 3;

std::string place(const std::string& file, unsigned line) {
    return file.substr(file.rfind('/') + 1) + ":" + std::to_string(line);
}

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// `path:line` or `path:line (discriminator 3)`, without folders; empty if unknown.
static std::string place_of(const std::string& answer) {
    const size_t colon = answer.rfind(':', answer.find(' '));
    if (colon == std::string::npos) return "";
    const unsigned line = static_cast<unsigned>(std::strtoul(answer.c_str() + colon + 1, nullptr, 10));
    return line > 0 ? place(answer.substr(0, colon), line) : "";
}

std::string source_of(const void* code) {
    Dl_info info;
    char address[32];
    if (!dladdr(code, &info) || !info.dli_fname) {
        std::snprintf(address, sizeof address, "%p", code);
        return address;
    }
    const uintptr_t offset = reinterpret_cast<uintptr_t>(code) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1;
    std::snprintf(address, sizeof address, "0x%lx", static_cast<unsigned long>(offset));
    const std::string program = info.dli_fname;
    std::string said;
    if (FILE* answers = popen(("addr2line -i -e '" + program + "' " + address + " 2>/dev/null").c_str(), "r")) {
        char line[1024];
        for (unsigned calls = 0; calls <= MOST_CALLS && std::fgets(line, sizeof line, answers); ++calls) {
            std::string found = place_of(line);
            if (!found.empty()) said += (said.empty() ? "" : ", called in ") + found;
        }
        pclose(answers);
    }
    return said.empty() ? program + "+" + address : said;
}

}  // namespace race
