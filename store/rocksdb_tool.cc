// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_tool.h"

#include <rocksdb/ldb_tool.h>

#include <cstdlib>
#include <string>

extern "C" void rocksdb_tool_drop_table(const char *path, uint64_t number)
{
    std::string words[] = {"ldb", std::string("--db=") + path, "unsafe_remove_sst_file",
                           std::to_string(number)};
    char *arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data()};
    rocksdb::LDBTool().Run(4, arguments);
    std::abort(); // Run() does not return
}
