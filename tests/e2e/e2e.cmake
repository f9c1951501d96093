# SPDX-License-Identifier: Apache-2.0
# Tests with real processes: each a Python script that is given the program.
find_package(Python3 COMPONENTS Interpreter)

# tako_e2e(path seconds arguments...): tests/path.py as ctest e2e_<its name>.
function(tako_e2e path seconds)
  get_filename_component(name ${path} NAME)
  add_test(NAME e2e_${name}
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/${path}.py
      --tako $<TARGET_FILE:tako_cli> ${ARGN})
  set_tests_properties(e2e_${name} PROPERTIES
    TIMEOUT ${seconds} LABELS e2e)
endfunction()

if(Python3_Interpreter_FOUND AND TARGET tako_cli)
  tako_e2e(apps/terminal 90)
  tako_e2e(e2e/attach 240)
  tako_e2e(e2e/bad_peer 180)
  tako_e2e(e2e/cli 120)
  tako_e2e(e2e/conflicts 120)
  tako_e2e(e2e/control 180)
  tako_e2e(e2e/converge 290)
  tako_e2e(e2e/histories 290)
  tako_e2e(e2e/kill 290 --rounds 20)
  tako_e2e(e2e/kill_points 600 --points 60)
  tako_e2e(e2e/line 120)
  tako_e2e(e2e/probe_json 120)
  tako_e2e(e2e/receipts 120)
  tako_e2e(e2e/second_reader 180)
  tako_e2e(e2e/watch 120)
  # The second reader of the protocol on all test vectors.
  add_test(NAME protocol_vectors
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/protocol/vectors.py)
  set_tests_properties(protocol_vectors PROPERTIES TIMEOUT 60 LABELS unit)
  # The judge of histories, which needs no program.
  add_test(NAME e2e_history_rows COMMAND ${Python3_EXECUTABLE} -B
    ${CMAKE_SOURCE_DIR}/tests/e2e/history_rows.py)
  set_tests_properties(e2e_history_rows PROPERTIES TIMEOUT 60 LABELS e2e)
endif()

# The restaurant of demo/taqueria, from the shared library, as an app would.
if(TARGET tako AND NOT TAKO_SANITIZE)
  add_executable(taqueria ${CMAKE_SOURCE_DIR}/demo/taqueria/taqueria.c)
  target_compile_options(taqueria PRIVATE ${TAKO_WARNINGS})
  target_compile_definitions(taqueria PRIVATE _GNU_SOURCE)
  target_link_libraries(taqueria PRIVATE tako Threads::Threads)
  add_test(NAME e2e_demo COMMAND ${CMAKE_SOURCE_DIR}/demo/taqueria/run
    $<TARGET_FILE:taqueria>)
  set_tests_properties(e2e_demo PROPERTIES TIMEOUT 120 LABELS e2e)
endif()
