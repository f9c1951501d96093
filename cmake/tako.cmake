# SPDX-License-Identifier: Apache-2.0
# The functions that the root CMakeLists.txt is written in.

set(TAKO_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wformat=2
    -Wcast-align -Wvla)
if(TAKO_WERROR)
  list(APPEND TAKO_WARNINGS -Werror)
endif()

set(TAKO_MODULES "" CACHE INTERNAL "")

add_library(tako_flags INTERFACE)
target_include_directories(tako_flags INTERFACE
  ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(tako_flags INTERFACE _GNU_SOURCE
  $<$<CONFIG:Debug>:TAKO_DEBUG> TAKO_VERSION="${PROJECT_VERSION}")
if(TAKO_SANITIZE)
  target_compile_options(tako_flags INTERFACE -fsanitize=${TAKO_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tako_flags INTERFACE -fsanitize=${TAKO_SANITIZE})
  target_compile_definitions(tako_flags INTERFACE TAKO_ARENA_PASSTHROUGH)
endif()

# What a fuzzer learns from: not the target alone, but all that it calls.
if(TAKO_FUZZ)
  target_compile_options(tako_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# tako_module(name libraries...): src/name/**.c as library tako_name, with the
# generated lexers and parsers of *.re and *.y, linked to what LAYERS allows.
function(tako_module name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
  file(GLOB lexers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.re)
  file(GLOB grammars CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.y)
  set(gen ${CMAKE_BINARY_DIR}/gen/${name})
  file(MAKE_DIRECTORY ${gen})
  set(generated "")
  foreach(grammar ${grammars})
    get_filename_component(base ${grammar} NAME_WE)
    add_custom_command(OUTPUT ${gen}/${base}.c ${gen}/${base}.h
      COMMAND lemon -q -d${gen} ${grammar}
      DEPENDS ${grammar} COMMENT "lemon ${base}.y")
    list(APPEND generated ${gen}/${base}.c)
  endforeach()
  foreach(lexer ${lexers})
    get_filename_component(base ${lexer} NAME_WE)
    add_custom_command(OUTPUT ${gen}/${base}.c
      COMMAND re2c -W -i --no-generation-date -o ${gen}/${base}.c ${lexer}
      DEPENDS ${lexer} COMMENT "re2c ${base}.re")
    list(APPEND generated ${gen}/${base}.c)
  endforeach()
  if(generated)
    set_source_files_properties(${generated} PROPERTIES COMPILE_OPTIONS
      "-Wno-conversion;-Wno-switch-enum;-Wno-missing-prototypes;-Wno-strict-prototypes;-Wno-shadow;-Wno-unused-parameter;-Wno-unused-variable;-Wno-sign-conversion;-Wno-pedantic;-Wno-unused-but-set-variable")
  endif()
  if(NOT sources AND NOT generated)
    add_library(tako_${name} INTERFACE)
    target_link_libraries(tako_${name} INTERFACE tako_flags ${ARGN})
  else()
    add_library(tako_${name} STATIC ${sources} ${generated})
    target_include_directories(tako_${name} PRIVATE ${gen} ${CMAKE_SOURCE_DIR}/src/${name})
    target_compile_options(tako_${name} PRIVATE ${TAKO_WARNINGS})
    target_link_libraries(tako_${name} PUBLIC tako_flags ${ARGN})
    # Linked with what LAYERS lets it use, so that a test of a low module
    # builds while a higher one does not.
    file(STRINGS ${CMAKE_SOURCE_DIR}/src/LAYERS line REGEX "^${name}:")
    string(REGEX REPLACE "^${name}:" "" line "${line}")
    separate_arguments(used UNIX_COMMAND "${line}")
    foreach(below ${used})
      target_link_libraries(tako_${name} PUBLIC tako_${below})
    endforeach()
  endif()
  set(TAKO_MODULES ${TAKO_MODULES} ${name} CACHE INTERNAL "")
endfunction()

# sim/*.c as library tako_sim, above the node and beside api.
function(tako_simulator)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sim/*.c)
  add_library(tako_sim STATIC ${sources})
  target_include_directories(tako_sim PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(tako_sim PRIVATE ${TAKO_WARNINGS})
  target_link_libraries(tako_sim PUBLIC tako_node tako_sys)
  # For apps that run their own logic in it: a library of its own, so that
  # libtako stays small.
  set(objects $<TARGET_OBJECTS:tako_sim>)
  foreach(name base codec crdt sec store query mesh sync node sys)
    list(APPEND objects $<TARGET_OBJECTS:tako_${name}>)
  endforeach()
  add_library(tako_simulator SHARED ${objects})
  set_target_properties(tako_simulator PROPERTIES OUTPUT_NAME tako_sim
    VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_link_options(tako_simulator PRIVATE -Wl,--gc-sections)
  target_link_libraries(tako_simulator PRIVATE tako_flags PkgConfig::SQLITE
    PkgConfig::SODIUM PkgConfig::ZSTD PkgConfig::UV PkgConfig::OPENSSL
    Threads::Threads m)
  target_include_directories(tako_simulator PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  install(TARGETS tako_simulator LIBRARY)
endfunction()

# libtako.so from every module.
function(tako_library)
  set(objects "")
  foreach(name ${TAKO_MODULES})
    list(APPEND objects $<TARGET_OBJECTS:tako_${name}>)
  endforeach()
  add_library(tako SHARED ${objects})
  set_target_properties(tako PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_link_options(tako PRIVATE -Wl,--gc-sections)
  target_link_libraries(tako PRIVATE tako_flags PkgConfig::SQLITE
    PkgConfig::SODIUM PkgConfig::ZSTD PkgConfig::UV PkgConfig::OPENSSL
    Threads::Threads m)
  target_include_directories(tako PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  install(TARGETS tako LIBRARY)
  install(DIRECTORY include/tako TYPE INCLUDE)
endfunction()

# The one program, apps/tako/*.c, statically linked with the library's modules;
# all but main.c is a library too, for its tests.
function(tako_program)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/tako/*.c)
  list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/apps/tako/main.c)
  pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
  add_library(tako_app STATIC ${sources})
  target_include_directories(tako_app PUBLIC ${CMAKE_SOURCE_DIR}/apps/tako)
  target_compile_options(tako_app PRIVATE ${TAKO_WARNINGS})
  target_link_libraries(tako_app PUBLIC tako_api tako_sim PkgConfig::EDIT)
  add_executable(tako_cli ${CMAKE_SOURCE_DIR}/apps/tako/main.c)
  set_target_properties(tako_cli PROPERTIES OUTPUT_NAME tako)
  target_compile_options(tako_cli PRIVATE ${TAKO_WARNINGS})
  target_link_libraries(tako_cli PRIVATE tako_app)
  install(TARGETS tako_cli RUNTIME)
endfunction()

# tests/<module>/test_<file>.c -> executable and ctest test_<module>_<file>,
# linked with the module and everything below it; tests/apps with the program.
function(tako_tests)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
  add_library(tako_test_support STATIC ${CMAKE_SOURCE_DIR}/tests/support/test_env.c
    ${CMAKE_SOURCE_DIR}/tests/support/test_files.c
    ${CMAKE_SOURCE_DIR}/tests/support/vectors.c
    ${CMAKE_SOURCE_DIR}/tests/support/describe.c)
  target_include_directories(tako_test_support PUBLIC ${CMAKE_SOURCE_DIR}/tests)
  target_compile_definitions(tako_test_support PRIVATE
    TAKO_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(tako_test_support PUBLIC tako_base PkgConfig::CMOCKA)
  foreach(module ${TAKO_MODULES} sim apps)
    if(module STREQUAL apps)
      set(library tako_app)
    else()
      set(library tako_${module})
    endif()
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${module}/test_*.c)
    file(GLOB_RECURSE helpers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${module}/support_*.c)
    foreach(test ${tests})
      get_filename_component(base ${test} NAME_WE)
      string(REGEX REPLACE "^test_" "test_${module}_" target ${base})
      add_executable(${target} ${test} ${helpers})
      target_compile_options(${target} PRIVATE ${TAKO_WARNINGS})
      target_compile_definitions(${target} PRIVATE TAKO_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
      target_link_libraries(${target} PRIVATE ${library} tako_test_support m)
      add_test(NAME ${target} COMMAND ${target})
      set_tests_properties(${target} PROPERTIES TIMEOUT 300 LABELS unit)
    endforeach()
  endforeach()
  if(TAKO_SANITIZE) # the release build does the whole million
    set_tests_properties(test_crdt_laws PROPERTIES
      ENVIRONMENT TAKO_TEST_TRIPLES=200000)
  endif()
  tako_examples()
  include(${CMAKE_SOURCE_DIR}/tests/sim/sim.cmake)
  include(${CMAKE_SOURCE_DIR}/tests/e2e/e2e.cmake OPTIONAL)
  include(${CMAKE_SOURCE_DIR}/tests/query/diff.cmake OPTIONAL)
endfunction()

# examples/<name>.c -> executable example_<name>, linked with libtako.so as a
# user's program is, and run once as a ctest in an empty folder.
function(tako_examples)
  file(GLOB examples CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/examples/*.c)
  foreach(example ${examples})
    get_filename_component(base ${example} NAME_WE)
    set(folder ${CMAKE_BINARY_DIR}/examples/${base})
    add_executable(example_${base} ${example})
    target_compile_options(example_${base} PRIVATE ${TAKO_WARNINGS})
    if(base MATCHES "^sim_")
      target_link_libraries(example_${base} PRIVATE tako_simulator)
    else()
      target_link_libraries(example_${base} PRIVATE tako)
    endif()
    if(TAKO_SANITIZE)
      target_link_options(example_${base} PRIVATE -fsanitize=${TAKO_SANITIZE})
    endif()
    add_test(NAME example_${base} COMMAND ${CMAKE_COMMAND} -E env
      sh -c "rm -rf ${folder} && mkdir -p ${folder} && cd ${folder} && $<TARGET_FILE:example_${base}>")
    set_tests_properties(example_${base} PROPERTIES TIMEOUT 60 LABELS example)
  endforeach()
endfunction()

function(tako_benches)
  file(GLOB benches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/bench_*.c)
  file(GLOB support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/support_*.c)
  foreach(bench ${benches})
    get_filename_component(base ${bench} NAME_WE)
    add_executable(${base} ${bench} ${support})
    target_compile_options(${base} PRIVATE ${TAKO_WARNINGS})
    target_include_directories(${base} PRIVATE ${CMAKE_SOURCE_DIR}/bench)
    target_link_libraries(${base} PRIVATE tako_api)
  endforeach()
endfunction()

# Each fuzz target over its seeds, as an ordinary test with any compiler.
function(tako_seed_tests)
  file(GLOB targets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
  foreach(target ${targets})
    get_filename_component(base ${target} NAME_WE)
    string(REGEX REPLACE "^fuzz_" "" entry ${base})
    add_executable(seeds_${entry} ${target} ${CMAKE_SOURCE_DIR}/fuzz/standalone.c)
    target_link_libraries(seeds_${entry} PRIVATE tako_api)
    add_test(NAME seeds_${entry}
      COMMAND seeds_${entry} ${CMAKE_SOURCE_DIR}/fuzz/seeds/${entry})
    set_tests_properties(seeds_${entry} PROPERTIES TIMEOUT 120 LABELS unit)
  endforeach()
endfunction()

function(tako_fuzzers)
  file(GLOB targets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
  foreach(target ${targets})
    get_filename_component(base ${target} NAME_WE)
    add_executable(${base} ${target})
    target_compile_options(${base} PRIVATE -fsanitize=fuzzer)
    target_link_options(${base} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${base} PRIVATE tako_api)
  endforeach()
endfunction()
