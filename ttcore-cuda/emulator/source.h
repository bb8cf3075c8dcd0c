// Where in the source a machine instruction comes from.

#pragma once

#include <string>

namespace race {

// A file without its folders, and a line.
std::string place(const std::string& file, unsigned line);

// The line of the instruction before `code`, and of the inlined calls around it; the address where nobody can tell: it takes
// binutils' addr2line, and debugging information.
std::string source_of(const void* code);

bool ends_with(const std::string& text, const std::string& end);

}  // namespace race
