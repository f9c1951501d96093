# SPDX-License-Identifier: Apache-2.0
# The differential tests of the query language: each a Python script that is
# given the program. TAKO_TEST_CASES=5000 makes them long (tools/soak does).
find_package(Python3 COMPONENTS Interpreter)

function(tako_diff name)
  add_test(NAME test_query_diff_${name}
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/query/diff_${name}.py
      --tako $<TARGET_FILE:tako_cli> ${ARGN})
  set_tests_properties(test_query_diff_${name} PROPERTIES
    TIMEOUT 300 LABELS unit)
  if(TAKO_SANITIZE) # slower, and after memory rather than answers
    set_tests_properties(test_query_diff_${name} PROPERTIES
      ENVIRONMENT TAKO_TEST_CASES=30)
  endif()
endfunction()

if(Python3_Interpreter_FOUND AND TARGET tako_cli)
  tako_diff(sqlite --require-all)
  tako_diff(model --require-all)
  tako_diff(index)
  # the model itself, against SQLite
  add_test(NAME test_query_model
    COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/query/diff_sqlite.py
      --tako model --cases 25)
  set_tests_properties(test_query_model PROPERTIES TIMEOUT 300 LABELS unit)
endif()
