# cmake -DTREE= -DWORK= -DGENERATOR= -DCOMPILER= -P run_package.cmake
# Installs TREE into an empty prefix, builds package/ against it and runs that. WORK is emptied first, and removed behind.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
foreach(command IN ITEMS
    "--install;${TREE};--prefix;${WORK}/prefix"
    "-S;${CMAKE_CURRENT_LIST_DIR}/package;-B;${WORK}/build;-G;${GENERATOR};-DCMAKE_CXX_COMPILER=${COMPILER};-DCMAKE_PREFIX_PATH=${WORK}/prefix"
    "--build;${WORK}/build")
  execute_process(COMMAND ${CMAKE_COMMAND} ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "cmake ${command} failed with ${status}:\n${output}")
  endif()
endforeach()
execute_process(COMMAND ${WORK}/build/consumer RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
message(STATUS "${output}")
if(NOT status EQUAL 0 OR NOT output MATCHES "CUDA: ")
  message(FATAL_ERROR "the program ended with ${status}")
endif()
file(REMOVE_RECURSE ${WORK})
