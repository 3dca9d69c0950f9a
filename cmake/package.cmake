# SPDX-License-Identifier: Apache-2.0
#
# What is installed beside the programs, and the Debian package of it all: deploy/package.sh.
# For Debian 12; the prefix has to be /usr (preset package), for paths are compiled in.

set(debian ${CMAKE_SOURCE_DIR}/deploy/debian)
set(made ${CMAKE_BINARY_DIR}/package)

# A changelog has a date. That of the commit, so that the same commit gives the same package.
execute_process(COMMAND git log -1 --format=%cD WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    OUTPUT_VARIABLE PARLEY_PACKAGE_DATE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT PARLEY_PACKAGE_DATE)
    set(PARLEY_PACKAGE_DATE "Thu, 01 Jan 1970 00:00:00 +0000")
endif()
configure_file(${debian}/changelog.in ${made}/changelog @ONLY)

# package_gzip(FROM TO): compressed as Debian wants it, when it is built.
function(package_gzip from to)
    add_custom_command(OUTPUT ${made}/${to}
        COMMAND gzip -9nc ${from} > ${made}/${to}
        DEPENDS ${from} VERBATIM)
    set_property(GLOBAL APPEND PROPERTY package_files ${made}/${to})
endfunction()

package_gzip(${made}/changelog changelog.gz)
package_gzip(${CMAKE_SOURCE_DIR}/CHANGELOG.md NEWS.gz)
package_gzip(${CMAKE_BINARY_DIR}/parleyd.8 parleyd.8.gz)
package_gzip(${CMAKE_BINARY_DIR}/parley-bench.1 parley-bench.1.gz)

# What the programs are made of, for who looks for known holes.
set(page_locks ${CMAKE_SOURCE_DIR}/server/page/package-lock.json
    ${CMAKE_SOURCE_DIR}/bench/load/page/package-lock.json)
add_custom_command(OUTPUT ${made}/parley.cdx.json
    COMMAND ${CMAKE_SOURCE_DIR}/deploy/sbom.py ${PROJECT_VERSION} $<TARGET_FILE:parleyd>
        $<TARGET_FILE:parley-store> $<TARGET_FILE:parley-bench> --npm ${page_locks}
        > ${made}/parley.cdx.json
    DEPENDS parleyd parley-store parley-bench ${page_locks} ${CMAKE_SOURCE_DIR}/deploy/sbom.py
    VERBATIM)
set_property(GLOBAL APPEND PROPERTY package_files ${made}/parley.cdx.json)

get_property(package_files GLOBAL PROPERTY package_files)
add_custom_target(package_files DEPENDS ${package_files})

install(FILES ${made}/parleyd.8.gz DESTINATION share/man/man8)
install(FILES ${made}/parley-bench.1.gz DESTINATION share/man/man1)
install(FILES ${made}/changelog.gz ${made}/NEWS.gz ${made}/parley.cdx.json ${debian}/copyright
    DESTINATION share/doc/parley)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/parley.example.yaml
    ${CMAKE_SOURCE_DIR}/deploy/alerts.yml ${CMAKE_SOURCE_DIR}/deploy/grafana-dashboard.json
    DESTINATION share/doc/parley/examples)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/deploy/haproxy ${CMAKE_SOURCE_DIR}/deploy/nginx
    DESTINATION share/doc/parley/examples
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
install(FILES ${debian}/parley.sysusers DESTINATION lib/sysusers.d RENAME parley.conf
   )
install(FILES ${CMAKE_SOURCE_DIR}/deploy/parleyd.service
    ${CMAKE_SOURCE_DIR}/deploy/parley.socket DESTINATION /lib/systemd/system
   )
install(FILES ${CMAKE_SOURCE_DIR}/deploy/parley.example.yaml DESTINATION /etc/parley
    RENAME parley.yaml)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME parley)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "parley <parley@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "chat server that speaks the Centrifuge client protocol")
set(CPACK_PACKAGE_DESCRIPTION
    "parleyd lets clients in over WebSocket and passes on what they publish to
the members of a channel. Channels have history, recovery, presence, and
may be kept on the disk. parley-bench puts load on it, or on any other
WebSocket server.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${debian}/conffiles;${debian}/postinst;${debian}/prerm;${debian}/postrm")
set(CPACK_COMPRESSION_TYPE xz)
include(CPack)
