# SPDX-License-Identifier: Apache-2.0
# Scenarios with many seeds, through the program. Sanitizer builds run fewer.

# tako_sim_seeds(scenario seeds): ctest sim_<scenario>.
function(tako_sim_seeds scenario seeds)
  add_test(NAME sim_${scenario} COMMAND tako_cli sim
    ${CMAKE_SOURCE_DIR}/sim/scenarios/${scenario}.sim --seeds ${seeds} --jobs 2
    --quiet)
  set_tests_properties(sim_${scenario} PROPERTIES TIMEOUT 900 LABELS sim)
endfunction()

if(TAKO_SANITIZE)
  set_tests_properties(test_sim_crash_points test_sim_crash_sync PROPERTIES
    ENVIRONMENT TAKO_CRASH_POINTS=few)
  set(few 1..3)
  set(many 1..12)
else()
  set(few 1..6)
  set(many 1..300)
endif()
tako_sim_seeds(line ${few})
tako_sim_seeds(ring ${few})
tako_sim_seeds(star ${few})
tako_sim_seeds(bridge ${few})
tako_sim_seeds(memory ${few})
tako_sim_seeds(oom ${few})
tako_sim_seeds(restaurant ${few})
tako_sim_seeds(keepers ${few})
tako_sim_seeds(evict ${few})
tako_sim_seeds(retain ${few})
tako_sim_seeds(tables ${few})
tako_sim_seeds(denied ${few})
tako_sim_seeds(denied_part ${few})
tako_sim_seeds(absences 1..2)
tako_sim_seeds(faults ${many})
tako_sim_seeds(partial ${few})
tako_sim_seeds(attachments ${few})
tako_sim_seeds(attachments_faults 1..3)
tako_sim_seeds(attachments_delay 1..2)
foreach(shape triangle ring grid full random)
  tako_sim_seeds(redundancy_${shape} ${few})
endforeach()
tako_sim_seeds(redundancy_fifty 1..1)

# The same seed twice, in two processes, and every seed that ever failed.
add_test(NAME sim_same COMMAND sh ${CMAKE_SOURCE_DIR}/tests/sim/same.sh
  $<TARGET_FILE:tako_cli> ${CMAKE_SOURCE_DIR}/sim)
add_test(NAME sim_regressions COMMAND sh
  ${CMAKE_SOURCE_DIR}/tests/sim/regressions.sh $<TARGET_FILE:tako_cli>
  ${CMAKE_SOURCE_DIR}/sim)
set_tests_properties(sim_same sim_regressions PROPERTIES TIMEOUT 300
  LABELS sim)
