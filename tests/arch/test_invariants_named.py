"""The invariants of the domain, each with the tests that prove it; a proof that is gone is told."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = """
1 a movement has two accounts and a quantity; all accounts sum to 0 per item and lot
  ledger/test_invariants.py
    test_1_a_movement_has_two_ends_and_a_quantity_and_all_accounts_sum_to_zero
    test_1_the_database_itself_refuses_a_movement_of_nothing_or_to_itself
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
2 on hand is in less out, never below 0, also when 32 writers race for the last 100
  ledger/test_invariants.py
    test_2_on_hand_is_what_came_less_what_went_and_never_below_zero
    test_2_the_database_itself_refuses_stock_below_zero
  ledger/test_race.py
    test_2_thirty_two_threads_racing_for_the_last_100_move_exactly_100
    test_2_eight_stores_on_one_database_move_exactly_100
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
3 the journal is append-only; a correction names its original and is applied once
  ledger/test_invariants.py
    test_3_the_database_refuses_to_change_or_delete_a_movement
    test_3_the_database_refuses_to_change_or_delete_an_audit_event
    test_3_postgresql_refuses_to_truncate_the_journal
    test_3_a_correction_names_its_original_and_is_applied_once
  ledger/test_controlled.py
    test_3_the_database_refuses_to_change_what_the_law_asks_to_keep
  ledger/test_custody.py
    test_3_the_database_refuses_to_change_what_was_stated
4 balances that are dropped and rebuilt come out identical
  ledger/test_invariants.py
    test_4_balances_dropped_and_rebuilt_from_the_journal_are_identical
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
5 available is on hand less held less blocked, never negative
  ledger/test_invariants.py
    test_5_available_is_on_hand_less_held_less_blocked
    test_5_stock_of_unknown_expiry_is_blocked
  ledger/test_machine.py
    test_a_random_life_of_the_ledger_is_that_of_a_dict
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
6 nothing of a blocked lot goes to a patient or a device; moving it out always may
  ledger/test_invariants.py
    test_6_nothing_of_a_blocked_lot_goes_to_a_patient_or_into_a_device
    test_6_an_expired_lot_is_blocked_from_the_day_after_and_not_before
    test_6_a_lot_of_unknown_expiry_is_blocked
    test_6_a_blocked_lot_can_always_be_moved_out
  ledger/test_custody.py
    test_6_a_lot_that_is_blocked_is_not_given_and_goes_to_the_outdates
7 FEFO: the earliest-expiring feasible set, ties by receipt, then lot; overrides say why
  ledger/test_invariants.py
    test_7_the_pick_is_the_earliest_expiring_lot_then_the_first_received
    test_7_blocked_or_held_stock_and_stock_in_receiving_is_no_candidate
  property/test_model_planning.py
    test_fefo_equals_the_best_of_all_choices
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
8 one message has effect once; any order with any repeats gives the same balances
  ledger/test_entities.py
    test_8_a_message_is_stored_once_with_the_bytes_that_came_first
    test_8_the_effect_of_a_message_is_claimed_once
  ledger/test_commute.py
    test_facts_commute_when_each_place_has_one_target
    test_facts_commute_for_any_targets_when_the_stock_suffices
  system/test_replay.py
    test_any_permutation_with_repeats_of_one_set_of_device_messages_gives_the_same_balances
9 a snapshot differs exactly where one discrepancy of that size is open; controlled ones stay
  ledger/test_entities.py
    test_9_there_is_one_open_discrepancy_of_exactly_the_difference
    test_9_that_of_a_controlled_item_never_closes_by_itself
  system/test_reconcile_load.py
    test_9_after_many_events_every_cell_is_equal_or_covered_by_exactly_one_discrepancy
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
10 a count posts counted less book at its time; moves during it make no false variance
  system/test_counting.py
    test_10_a_count_posts_counted_less_book_and_never_overwrites_a_balance
    test_10_stock_may_move_during_a_count_without_a_false_variance
11 a blind count discloses no expected quantity before it is submitted
  system/test_counts_api.py
    test_11_a_blind_count_discloses_no_expected_quantity_before_it_is_submitted
12 a count whose item or quantity differs from the order is never verified
  ledger/test_entities.py
    test_12_a_count_that_differs_from_the_order_is_never_verified
    test_12_a_fill_whose_tray_changed_after_verification_is_not_settled
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
13 waste of a controlled item has a witness: another person, within 2 minutes
  ledger/test_custody.py
    test_13_waste_of_a_controlled_item_needs_a_witness_who_is_another_person_within_two_minutes
    test_13_no_posting_and_no_fact_wastes_a_controlled_item_around_the_witness
    test_13_the_database_itself_refuses_the_same_person_or_nobody_as_witness
  property/test_model_controlled.py
    test_13_a_witness_who_is_late_or_early_is_refused
14 an open recall stops every issue; its case closes when all places answered and sums agree
  system/test_recall_under_load.py
    test_14_a_recall_at_fifty_dispenses_a_second_lets_no_machine_issue_the_lot
  system/test_recall_cases.py
    test_14_the_case_closes_only_when_every_place_has_answered_and_quantities_add_up
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
15 repack: bulk is units, waste and samples; the shorter date; traces find all
  property/test_model_repacking.py
    test_15_bulk_out_is_the_sum_of_units_waste_and_samples_or_the_run_is_refused
    test_15_the_childs_date_is_the_lesser_of_the_manufacturers_expiry_and_the_rule
  ledger/test_tracing.py
    test_15_a_forward_trace_from_the_bulk_lot_finds_every_child_and_dispense
    test_15_any_tree_of_runs_is_traced_as_a_plain_model_says
16 per lot: received = on hand + dispensed + wasted + lost + returned + destroyed
  ledger/test_outdates.py
    test_16_per_lot_received_is_on_hand_dispensed_wasted_lost_returned_and_destroyed
  system/test_pharmacy_machine.py
    test_a_random_life_of_a_pharmacy_is_that_of_dicts
17 the reorder job makes one set of orders; on order and owed count, blocked stock does not
  system/test_invariants_of_the_site.py
    test_17_the_reorder_job_run_100_times_or_twice_at_once_makes_one_set_of_orders
  ledger/test_entities.py
    test_17_there_is_one_open_proposal_of_exactly_what_is_needed
    test_17_what_is_on_order_shrinks_as_it_arrives
    test_17_blocked_and_held_stock_and_that_in_the_tray_does_not_count
18 answers, logs and exports hold no patient's name
  system/test_invariants_of_the_site.py
    test_18_no_answer_and_no_table_has_a_place_for_a_patients_name
    test_18_a_name_in_place_of_the_opaque_key_is_refused_and_leaves_no_trace
    test_18_answers_about_the_inventory_and_logs_hold_not_even_the_key
  unit/test_log.py
    test_a_key_that_is_not_allowed_is_dropped_and_named
  unit/test_model_dispensing.py
    test_18_a_key_that_could_be_a_name_is_refused
19 every change has actor, time and reason; any changed byte of the past is found and named
  ledger/test_post.py
    test_a_movement_keeps_both_times_its_author_and_its_reason
  ledger/test_verify.py
    test_19_any_changed_column_of_a_past_movement_is_found_and_named
    test_19_any_flipped_byte_of_a_movement_in_the_file_is_found_or_unreadable
  ledger/test_tamper.py
    test_19_a_thousand_flipped_bytes_of_past_movements_are_all_named
"""
"""Number and invariant, below it the files and in each the tests that prove it.

The ledger's own ones are checked after every scenario too, by `tests.ledger.truth`.
"""


def _proofs() -> dict[int, list[tuple[str, str]]]:
    """Return (file, test) by the number of the invariant."""
    found: dict[int, list[tuple[str, str]]] = {}
    number, file = 0, ""
    for line in TABLE.strip().splitlines():
        if not line.startswith(" "):
            number = int(line.partition(" ")[0])
            found[number] = []
        elif not line.startswith("    "):
            file = line.strip()
        else:
            found[number].append((file, line.strip()))
    return found


PROOFS = _proofs()


@cache
def _tests_of(file: str) -> frozenset[str]:
    """Return the names of the test functions of a file; none when it is gone."""
    path = TESTS / file
    if not path.exists():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, found))


def test_every_invariant_of_the_domain_is_in_the_table() -> None:
    assert list(PROOFS) == list(range(1, 20))


@pytest.mark.parametrize("number", PROOFS)
def test_the_proofs_of_an_invariant_exist(number: int) -> None:
    assert PROOFS[number]
    gone = [(file, name) for file, name in PROOFS[number] if name not in _tests_of(file)]
    assert not gone, f"invariant {number}: no such tests {gone}"


def test_a_test_that_is_numbered_names_an_invariant_that_there_is() -> None:
    numbered = re.compile(r"def test_(\d+)_")
    for folder in ("unit", "property", "contract", "ledger", "system", "browser"):
        for file in (TESTS / folder).rglob("test_*.py"):
            for number in numbered.findall(file.read_text(encoding="utf-8")):
                assert int(number) in PROOFS, f"{file.name}: invariant {number}"
