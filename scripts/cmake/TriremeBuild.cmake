# How every target of this project is compiled. Linked privately through BUILD_INTERFACE: nothing of it is exported.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# Paths below the source folder are hashed as relative ones, so that builds in several folders share their objects: the
# presets ci and cuda differ in few. (Files compiled as one, see below, lie in the build folder.)
find_program(TRIREME_CCACHE ccache)
if(TRIREME_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(TRIREME_ENV env REQUIRED)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TRIREME_ENV} CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${TRIREME_CCACHE})
endif()

add_library(trireme_build INTERFACE)
target_compile_features(trireme_build INTERFACE cxx_std_20)
# Contraction to fused multiply-add would change bits between instruction sets.
set(trireme_compile_options
  -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -ffp-contract=off -fvisibility=hidden
  # In a test compiled as one with others it would warn of names in them.
  $<$<NOT:$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<BOOL:$<TARGET_PROPERTY:TRIREME_IS_TEST>>>>:-Wshadow>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # GCC 12 warns falsely of "literal" + std::string (its bug 105329)
  $<$<BOOL:${TRIREME_WERROR}>:-Werror>)
# Of files of kernels, which nvcc compiles: see TriremeCuda.cmake.
target_compile_options(trireme_build INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${trireme_compile_options}>")
if(TRIREME_SANITIZE)
  target_compile_options(trireme_build INTERFACE -fsanitize=${TRIREME_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(trireme_build INTERFACE -fsanitize=${TRIREME_SANITIZE})
  if(TRIREME_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's thread sanitizer warns about std::atomic_thread_fence; we use none, headers of others do.
    target_compile_options(trireme_build INTERFACE -Wno-tsan)
  endif()
endif()

# For code that is never hot: under sanitizers optimising it takes longer than all that it is run for.
set(TRIREME_COLD $<$<CONFIG:Debug>:-O0>)

# With CMAKE_UNITY_BUILD (the presets that test) several sources of a target are compiled as one: most of what compiling a
# small file costs is its headers. The release preset compiles each file by itself, so that none leans on another's
# includes. A file whose helpers must bear the names of its twins' says SKIP_UNITY_BUILD_INCLUSION.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 6)

# trireme_add_room(NAME SOURCES … HEADERS … DEPENDS rooms-and-public-libraries PRIVATE_DEPENDS …)
# One static library per room: target trireme_NAME, alias and installed name trireme::NAME. Static whatever
# BUILD_SHARED_LIBS says: all symbols are hidden and no public header has export macros.
if(BUILD_SHARED_LIBS)
  message(WARNING "BUILD_SHARED_LIBS is ignored: Trireme's libraries can only be built static")
endif()
function(trireme_add_room name)
  cmake_parse_arguments(room "" "" "SOURCES;HEADERS;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(trireme_${name} STATIC ${room_SOURCES})
  add_library(trireme::${name} ALIAS trireme_${name})
  set_target_properties(trireme_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  list(TRANSFORM room_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/include/trireme/)
  target_sources(trireme_${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${room_HEADERS})
  target_compile_features(trireme_${name} PUBLIC cxx_std_20)
  target_include_directories(trireme_${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(trireme_${name} PUBLIC ${room_DEPENDS}
                        PRIVATE ${room_PRIVATE_DEPENDS} $<BUILD_INTERFACE:trireme_build>)
  set_property(GLOBAL APPEND PROPERTY TRIREME_ROOMS trireme_${name})
endfunction()
