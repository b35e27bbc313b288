# What every room's CMakeLists.txt uses: packages, warnings, and three ways to declare a library.

list(APPEND CMAKE_PREFIX_PATH /usr/lib/llvm-22)
find_package(MLIR 22.1 REQUIRED CONFIG)
find_package(LLD 22.1 REQUIRED CONFIG)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

option(LLAMA4_SANITIZE "Build with address and undefined behaviour sanitizers" OFF)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
add_compile_options(-Wall -Wextra -Werror -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
                    -ffile-prefix-map=${CMAKE_BINARY_DIR}=build)
if(LLAMA4_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
set(LLAMA4_PCH ${CMAKE_SOURCE_DIR}/cmake/MlirPch.h)

# llama4_library(NAME files... [LINK libs...] [STRICT])
#   A library without MLIR. STRICT adds -Wconversion: for what reads data from outside.
function(llama4_library name)
  cmake_parse_arguments(ARG "STRICT" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  if(ARG_STRICT)
    target_compile_options(${name} PRIVATE -Wconversion)
  endif()
endfunction()

# llama4_mlir_library(NAME files... [LINK libs...] [DEPENDS targets...])
#   A library on MLIR: no exceptions, precompiled MLIR headers, the shared libMLIR and libLLVM.
function(llama4_mlir_library name)
  cmake_parse_arguments(ARG "" "" "LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE -fno-exceptions -Wno-unused-parameter)
  target_precompile_headers(${name} PRIVATE ${LLAMA4_PCH})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# llama4_test(NAME files... [LINK libs...])  A gtest program, run by ctest as NAME.
function(llama4_test name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE LLAMA4_TEST_DATA="${CMAKE_SOURCE_DIR}/test/data"
                             LLAMA4_BINARY_DIR="${CMAKE_BINARY_DIR}/bin")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# llama4_mlir_tool(NAME files... [LINK libs...])  A program on MLIR, placed in bin/.
function(llama4_mlir_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_compile_options(${name} PRIVATE -fno-exceptions -Wno-unused-parameter)
  target_precompile_headers(${name} PRIVATE ${LLAMA4_PCH})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} MLIR LLVM)
endfunction()
