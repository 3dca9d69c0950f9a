/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ROCKSDB_TOOL_H
#define STORE_ROCKSDB_TOOL_H
/*
 * The one thing that RocksDB's C API has no word for: to take a table off a database's list while
 * nobody has it open. Its own tool `ldb` does that (unsafe_remove_sst_file), and is a part of the
 * library, for C++ only, and ends the process with its exit status. So parley-store runs itself
 * again for this.
 */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#else
_Noreturn
#endif
void rocksdb_tool_drop_table(const char *path, uint64_t number);
#ifdef __cplusplus
}
#endif

#endif /* STORE_ROCKSDB_TOOL_H */
