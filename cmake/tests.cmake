# SPDX-License-Identifier: Apache-2.0
#
# Unit tests, the behaviours of net/, the simulation, and the fuzz targets.
# Each appears with its source files; what tests/run.sh does with them is written there.

set(test_suppressions ${CMAKE_SOURCE_DIR}/tests/tsan.supp)
set(test_environment CK_DEFAULT_TIMEOUT=120
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${test_suppressions}")

function(parley_test target ctest_name label)
    target_compile_definitions(${target} PRIVATE PARLEY_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${ctest_name} COMMAND ${target})
    set_tests_properties(${ctest_name} PROPERTIES
        LABELS ${label} TIMEOUT 600 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
        ENVIRONMENT "${test_environment}")
endfunction()

if(PARLEY_SANITIZE STREQUAL "fuzzer")
    file(GLOB fuzz_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.c)
    existing_targets(libraries serverlib chat storeengine store net proto core)
    foreach(source IN LISTS fuzz_files)
        cmake_path(GET source STEM target)
        add_executable(${target} ${source})
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        target_link_libraries(${target} PRIVATE ${libraries} test_warnings)
    endforeach()
    return()
endif()

# Who only wants the server needs no test framework. tests/run.sh installs it.
pkg_check_modules(check IMPORTED_TARGET check)
if(NOT check_FOUND)
    message(STATUS "No libcheck: the tests are left out")
    return()
endif()

# What the tests of a folder may see: what the folder itself may see (ARCHITECTURE.md, layers).
set(seen_by_core core)
set(seen_by_proto proto core)
set(seen_by_net net core)
set(seen_by_chat chat proto core)
set(seen_by_store storeengine store core)
set(seen_by_server serverlib chat net proto store core)
set(seen_by_load load net proto core)

foreach(folder core proto net store chat server load)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/*_test.c)
    existing_targets(libraries ${seen_by_${folder}})
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM stem)
        string(REGEX REPLACE "_test$" "" module ${stem})
        set(target ${folder}_${stem})
        add_executable(${target} ${source})
        target_link_libraries(${target} PRIVATE ${libraries} PkgConfig::check test_warnings)
        parley_test(${target} unit/${folder}/${module} unit)
    endforeach()
endforeach()

# Memory is out where such a test says so (tests/unit/failing_memory.h): it is linked with copies of
# the libraries that ask it.
set(renamed)
foreach(function malloc calloc realloc aligned_alloc strndup strdup free
        deflateInit2_ inflateInit2_ pcre2_match_data_create_8)
    list(APPEND renamed --redefine-sym ${function}=memory_${function})
endforeach()
foreach(library core proto net store chat serverlib)
    add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/memory_${library}.a DEPENDS ${library}
        COMMAND ${CMAKE_OBJCOPY} ${renamed}
            $<TARGET_FILE:${library}> ${CMAKE_BINARY_DIR}/memory_${library}.a)
endforeach()
# failing_memory_test(TARGET LIBRARIES [foreign...])
function(failing_memory_test target libraries)
    list(TRANSFORM libraries PREPEND ${CMAKE_BINARY_DIR}/memory_ OUTPUT_VARIABLE copies)
    list(TRANSFORM copies APPEND .a)
    target_sources(${target} PRIVATE ${copies})
    set_target_properties(${target} PROPERTIES
        LINK_LIBRARIES "${copies};${ARGN};Threads::Threads;PkgConfig::check;test_warnings")
endfunction()
foreach(test hub hub_arrival presence)
    failing_memory_test(chat_${test}_memory_test "${seen_by_chat}" OpenSSL::Crypto)
endforeach()
failing_memory_test(net_conn_memory_test "${seen_by_net}" OpenSSL::SSL PkgConfig::liburing)
foreach(target server_token_memory_test server_shard_memory_test)
    failing_memory_test(${target} "${seen_by_server}" OpenSSL::SSL PkgConfig::liburing
        PkgConfig::zlib PkgConfig::yaml PkgConfig::cjose PkgConfig::curl PkgConfig::pcre2)
endforeach()

# They forge tokens with OpenSSL.
foreach(target server_token_test server_token_key_test server_jwks_test server_jwks_source_test)
    if(TARGET ${target})
        target_link_libraries(${target} PRIVATE OpenSSL::Crypto)
    endif()
endforeach()

# The archive's store is the real one.
if(TARGET server_archive_test AND TARGET parley-store)
    target_compile_definitions(server_archive_test PRIVATE
        PARLEY_STORE_PROGRAM="$<TARGET_FILE:parley-store>")
    add_dependencies(server_archive_test parley-store)
endif()

# Not to measure: each case runs once and a bit, so that none breaks unseen.
if(TARGET parley-micro)
    add_test(NAME unit/micro/smoke COMMAND parley-micro --benchmark_min_time=0.00001)
    set_tests_properties(unit/micro/smoke PROPERTIES
        LABELS unit TIMEOUT 600 ENVIRONMENT "${test_environment}")
endif()

add_test(NAME unit/bench/compare COMMAND ${Python3_EXECUTABLE}
    ${CMAKE_SOURCE_DIR}/tests/bench/compare_test.py)
add_test(NAME unit/bench/peers COMMAND ${Python3_EXECUTABLE}
    ${CMAKE_SOURCE_DIR}/tests/bench/peers_test.py)
set_tests_properties(unit/bench/compare unit/bench/peers PROPERTIES LABELS unit TIMEOUT 120)

# tests/run.sh installs Node where it is missing.
find_program(PARLEY_NODE NAMES node nodejs)
if(PARLEY_NODE)
    add_test(NAME unit/chaos/checker COMMAND ${PARLEY_NODE} --test
        ${CMAKE_SOURCE_DIR}/tests/chaos/mutate_test.mjs)
    set_tests_properties(unit/chaos/checker PROPERTIES LABELS unit TIMEOUT 300)
endif()

# The simulated back end is a library, because the behaviours of net/ are tried against it too.
file(GLOB sim_library CONFIGURE_DEPENDS
    ${CMAKE_SOURCE_DIR}/tests/sim/backend_sim.c ${CMAKE_SOURCE_DIR}/tests/sim/sim_*.c)
list(FILTER sim_library EXCLUDE REGEX "/sim_main\\.c$")
file(GLOB sim_rest CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/sim/*.c)
list(REMOVE_ITEM sim_rest ${sim_library})

existing_targets(libraries serverlib chat net proto store core)
if(sim_library)
    add_library(simbackend STATIC ${sim_library})
    target_link_libraries(simbackend PUBLIC ${libraries} PRIVATE PkgConfig::zlib test_warnings)
endif()
if(sim_library AND sim_rest)
    add_executable(sim_test ${sim_rest})
    target_link_libraries(sim_test PRIVATE
        simbackend ${libraries} PkgConfig::check test_warnings)
    parley_test(sim_test sim sim)
endif()

file(GLOB net_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/net/*.c)
if(net_files AND TARGET net)
    existing_targets(libraries simbackend net core)
    add_executable(net_behaviour_test ${net_files})
    target_link_libraries(net_behaviour_test PRIVATE
        ${libraries} PkgConfig::check test_warnings)
    parley_test(net_behaviour_test net/behaviour net)
    # One program that takes as long as all of tests/unit: the other CPU has those meanwhile.
    set_tests_properties(net/behaviour PROPERTIES COST 1000 TIMEOUT 900)
endif()

# The durable store through its real child; the shim makes the child's disk slow or broken.
if(TARGET parley-store)
    add_library(store_shim MODULE ${CMAKE_SOURCE_DIR}/tests/store/shim.c)
    target_compile_options(store_shim PRIVATE -fPIC -fno-sanitize=all)
    target_link_options(store_shim PRIVATE -fno-sanitize=all
        $<$<C_COMPILER_ID:Clang>:-Wno-unused-command-line-argument>)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/store/*_test.c)
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM stem)
        string(REGEX REPLACE "_test$" "" module ${stem})
        add_executable(store_real_${stem} ${source} ${CMAKE_SOURCE_DIR}/tests/store/driver.c)
        target_link_libraries(store_real_${stem} PRIVATE
            store core PkgConfig::check test_warnings)
        target_compile_definitions(store_real_${stem} PRIVATE
            PARLEY_STORE_PROGRAM="$<TARGET_FILE:parley-store>"
            PARLEY_STORE_SHIM="$<TARGET_FILE:store_shim>")
        add_dependencies(store_real_${stem} parley-store store_shim)
        parley_test(store_real_${stem} unit/store/real/${module} unit)
    endforeach()
endif()
