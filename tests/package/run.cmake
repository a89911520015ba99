# cmake -DTREE= -DSOURCE= -DWORK= -DGENERATOR= -DCOMPILER= -DLAUNCHER= -P run.cmake
# Installs TREE into an empty prefix and is its first user. WORK is emptied first, and removed when all went well.
cmake_minimum_required(VERSION 3.25)

function(run what)
  message(STATUS "${what}")
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed with ${status}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# The first weight that an example tells in the end.
function(weight_of text variable)
  string(REGEX MATCH "weight\\[0\\] = [^\n]*" weight "${text}")
  if(weight STREQUAL "")
    message(FATAL_ERROR "no weight is told in:\n${text}")
  endif()
  set(${variable} "${weight}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/prefix)
set(outside -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
            -DCMAKE_PREFIX_PATH=${prefix})

run("install" ${CMAKE_COMMAND} --install ${TREE} --prefix ${prefix})

# Nothing of this build may travel to users: its folders, its warnings, its floating-point rules, its sanitizers.
file(GLOB_RECURSE exported ${prefix}/*.cmake)
list(LENGTH exported count)
if(count LESS 4)
  message(FATAL_ERROR "only ${count} CMake files were installed: ${exported}")
endif()
foreach(file IN LISTS exported)
  file(READ ${file} text)
  foreach(forbidden "${SOURCE}/" "${TREE}/" "trireme_build" "-Wall" "-Werror" "-ffp-contract" "-fsanitize")
    string(FIND "${text}" "${forbidden}" position)
    if(NOT position EQUAL -1)
      message(FATAL_ERROR "${file} holds '${forbidden}'")
    endif()
  endforeach()
endforeach()

run("check components and versions" ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/components -B ${WORK}/components
    ${outside})

# A copy, so that nothing of the tree can be found by a relative path.
file(COPY ${SOURCE}/examples DESTINATION ${WORK})
run("configure the examples" ${CMAKE_COMMAND} -S ${WORK}/examples -B ${WORK}/build ${outside})
run("build the examples" ${CMAKE_COMMAND} --build ${WORK}/build --parallel 2)
foreach(example 01_hello_all_reduce 02_data_parallel)
  run("run ${example} on two ranks" ${prefix}/bin/trireme run -n 2 -- ${WORK}/build/${example})
  message(STATUS "${output}")
endforeach()
weight_of("${output}" expected)  # of 02_data_parallel, which 04_checkpoint trains too

set(checkpoint ${WORK}/build/04_checkpoint ${WORK}/checkpoints)
message(STATUS "interrupt 04_checkpoint on two ranks")
execute_process(COMMAND ${prefix}/bin/trireme run -n 2 -- ${checkpoint} 42 RESULT_VARIABLE status OUTPUT_VARIABLE output
                ERROR_VARIABLE output)
if(NOT status EQUAL 143)
  message(FATAL_ERROR "an interrupted 04_checkpoint ends with ${status}, not 143:\n${output}")
endif()
run("go on with 04_checkpoint on three ranks" ${prefix}/bin/trireme run -n 3 -- ${checkpoint})
message(STATUS "${output}")
weight_of("${output}" weight)
if(NOT output MATCHES "goes on from step 42" OR NOT weight STREQUAL expected)
  message(FATAL_ERROR "04_checkpoint does not go on from step 42 to '${expected}':\n${output}")
endif()

run("run 05_device on one rank" ${WORK}/build/05_device)
string(REGEX MATCH "weight\\[0\\] [0-9.]+" expected "${output}")
run("run 05_device on three ranks" ${prefix}/bin/trireme run -n 3 -- ${WORK}/build/05_device)
message(STATUS "${output}")
string(REGEX MATCH "weight\\[0\\] [0-9.]+" weight "${output}")
if(expected STREQUAL "" OR NOT weight STREQUAL expected)
  message(FATAL_ERROR "05_device on three ranks ends with '${weight}', on one with '${expected}'")
endif()

run("run 03_language_model on two ranks" ${prefix}/bin/trireme run -n 2 -- ${WORK}/build/03_language_model 2
    ${SOURCE}/CHANGELOG.md)
message(STATUS "${output}")

file(REMOVE_RECURSE ${WORK})
