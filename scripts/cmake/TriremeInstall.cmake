# Install and export: find_package(Trireme 0.1 [COMPONENTS rooms…]) gives the same trireme::<room> names as the tree.
include(CMakePackageConfigHelpers)

option(TRIREME_INSTALL "Install the libraries, headers and the trireme program" ${PROJECT_IS_TOP_LEVEL})

get_property(rooms GLOBAL PROPERTY TRIREME_ROOMS)
# Rooms that talk to web services bring libcurl: who wants them names them.
set(rooms_of_all ${rooms})
list(FILTER rooms_of_all EXCLUDE REGEX "^trireme_(http|tracking|interruption)$")
target_link_libraries(trireme_trireme INTERFACE ${rooms_of_all})
if(EXISTS ${PROJECT_SOURCE_DIR}/include/trireme/trireme.hpp)
  target_sources(trireme_trireme INTERFACE FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include
                 FILES ${PROJECT_SOURCE_DIR}/include/trireme/trireme.hpp)
endif()

if(NOT TRIREME_INSTALL)
  return()
endif()

# How a consumer finds each package of others that a static room may link. A room that links one not listed here stops
# the configuration: its users would meet an unknown target.
set(find_Threads Threads)
set(find_OpenSSL OpenSSL 3 COMPONENTS Crypto)
set(find_ZLIB ZLIB)
set(find_nlohmann_json nlohmann_json)
set(find_protobuf Protobuf)
set(find_CURL CURL)
set(find_CUDA CUDAToolkit)  # of a build with CUDA: the toolkit's static run-time

# Packages per room, those of the rooms below included; the rooms come lowest floor first.
set(components "")
set(TRIREME_PACKAGE_TABLE "")
foreach(room IN LISTS rooms)
  get_target_property(name ${room} EXPORT_NAME)
  get_target_property(links ${room} LINK_LIBRARIES)
  set(packages "")
  foreach(link IN LISTS links)
    if(link MATCHES "^trireme(::|_)(.+)$")
      list(APPEND packages ${packages_of_${CMAKE_MATCH_2}})
    elseif(link MATCHES "^([A-Za-z0-9_]+)::[A-Za-z0-9_-]+$")
      if(NOT DEFINED find_${CMAKE_MATCH_1})
        message(FATAL_ERROR "${room} links ${link}: say in TriremeInstall.cmake how a consumer finds "
                            "${CMAKE_MATCH_1}, or link it as $<BUILD_INTERFACE:${link}> if only headers are used")
      endif()
      list(APPEND packages ${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES packages)
  set(packages_of_${name} ${packages})
  list(APPEND components ${name})
  string(APPEND TRIREME_PACKAGE_TABLE "set(_trireme_packages_${name} ${packages})\n")
  list(APPEND all_packages ${packages})
endforeach()
list(REMOVE_DUPLICATES all_packages)
# All that trireme::trireme links, as one component.
set(packages "")
foreach(room IN LISTS rooms_of_all)
  get_target_property(name ${room} EXPORT_NAME)
  list(APPEND packages ${packages_of_${name}})
endforeach()
list(REMOVE_DUPLICATES packages)
list(APPEND components trireme)
string(APPEND TRIREME_PACKAGE_TABLE "set(_trireme_packages_trireme ${packages})\n")
foreach(package IN LISTS all_packages)
  string(APPEND TRIREME_PACKAGE_TABLE "set(_trireme_find_${package} ${find_${package}})\n")
endforeach()
string(REPLACE ";" " " TRIREME_PACKAGE_TABLE "${TRIREME_PACKAGE_TABLE}")
string(REPLACE ";" " " TRIREME_COMPONENTS "${components}")

install(TARGETS ${rooms} trireme_trireme EXPORT TriremeTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET trireme_cli)
  install(TARGETS trireme_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Trireme)
install(EXPORT TriremeTargets NAMESPACE trireme:: DESTINATION ${package_folder})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/TriremeConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/TriremeConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TriremeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/TriremeConfig.cmake ${PROJECT_BINARY_DIR}/TriremeConfigVersion.cmake
        DESTINATION ${package_folder})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
