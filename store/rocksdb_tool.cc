// SPDX-License-Identifier: Apache-2.0
#include "store/rocksdb_tool.h"

#include <inttypes.h>
#include <limits.h>
#include <rocksdb/ldb_tool.h>
#include <stdio.h>
#include <stdlib.h>

extern "C" void rocksdb_tool_drop_table(const char *path, uint64_t number)
{
    char program[] = "ldb";
    char command[] = "unsafe_remove_sst_file";
    char database[PATH_MAX + 8];
    char table[24];
    (void)snprintf(database, sizeof(database), "--db=%s", path);
    (void)snprintf(table, sizeof(table), "%" PRIu64, number);
    char *arguments[] = {program, database, command, table};
    rocksdb::LDBTool().Run(4, arguments);
    abort(); // Run() does not return
}
