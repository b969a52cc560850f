"""What every Coq certificate begins with: the functions, their identities, and the tactics.

Why real functions and not an abstract ring: sigmoid and tanh are defined here by exp, so a
certificate speaks of actual networks and assumes nothing but the axioms of Coq's real numbers and
that functions with equal values are equal.
"""

from __future__ import annotations

PRELUDE = r"""Require Import Reals Lra FunctionalExtensionality.
Open Scope R_scope.
Definition V := nat -> R.
Definition sigmoid (x : R) := / (1 + exp (- x)).
Definition tanh_ (x : R) := 2 * sigmoid (2 * x) - 1.
Definition relu (x : R) := Rmax x 0.
Definition silu (x : R) := x * sigmoid x.
Lemma tanh_is (x : R) : tanh_ x = (exp x - exp (- x)) / (exp x + exp (- x)).
Proof.
  unfold tanh_, sigmoid. replace (- (2 * x)) with (- x + - x) by ring.
  rewrite exp_plus, exp_Ropp. pose proof (exp_pos x). field. split; nra.
Qed.
Lemma sigmoid_pos (x : R) : 0 < sigmoid x.
Proof. unfold sigmoid. apply Rinv_0_lt_compat. pose proof (exp_pos (- x)). lra. Qed.
Lemma sigmoid_opp (x : R) : sigmoid (- x) = 1 - sigmoid x.
Proof.
  unfold sigmoid. rewrite Ropp_involutive, exp_Ropp. pose proof (exp_pos x).
  field. split; lra.
Qed.
Lemma sigmoid_0 : sigmoid 0 = 1 / 2.
Proof. unfold sigmoid. rewrite Ropp_0, exp_0. field. Qed.
Lemma tanh_opp (x : R) : tanh_ (- x) = - tanh_ x.
Proof. unfold tanh_. replace (2 * - x) with (- (2 * x)) by ring. rewrite sigmoid_opp. ring. Qed.
Lemma tanh_0 : tanh_ 0 = 0.
Proof. unfold tanh_. rewrite Rmult_0_r, sigmoid_0. field. Qed.
Lemma relu_opp (x : R) : relu (- x) = relu x - x.
Proof. unfold relu, Rmax. destruct (Rle_dec (- x) 0), (Rle_dec x 0); lra. Qed.
Lemma relu_scale (k x : R) : 0 < k -> relu (k * x) = k * relu x.
Proof.
  intro H. unfold relu, Rmax. destruct (Rle_dec (k * x) 0), (Rle_dec x 0); nra.
Qed.
Lemma relu_0 : relu 0 = 0.
Proof. unfold relu, Rmax. destruct (Rle_dec 0 0); lra. Qed.
Lemma sign_sigmoid (s x : R) : s * s = 1 -> sigmoid (s * x) = 1 / 2 + s * (sigmoid x - 1 / 2).
Proof.
  intro H. assert (s = 1 \/ s = -1) as [E | E] by (assert ((s - 1) * (s + 1) = 0) by lra;
  destruct (Rmult_integral _ _ H0); [left | right]; lra); subst.
  - rewrite Rmult_1_l. field.
  - replace (-1 * x) with (- x) by ring. rewrite sigmoid_opp. field.
Qed.
Lemma sign_tanh (s x : R) : s * s = 1 -> tanh_ (s * x) = s * tanh_ x.
Proof.
  intro H. unfold tanh_. replace (2 * (s * x)) with (s * (2 * x)) by ring.
  rewrite sign_sigmoid by exact H. field.
Qed.
Definition additive (M : V -> V) :=
  forall a b : V, M (fun i => a i + b i) = (fun i => M a i + M b i).
Definition homogeneous (M : V -> V) :=
  forall (k : R) (a : V), M (fun i => k * a i) = (fun i => k * M a i).
Ltac pos :=
  match goal with
  | |- 0 < _ + _ =>
      first [ apply Rplus_lt_0_compat; pos | apply Rplus_le_lt_0_compat; [nonneg | pos]
            | apply Rplus_lt_le_0_compat; [pos | nonneg] ]
  | |- 0 < _ * _ => apply Rmult_lt_0_compat; pos
  | |- 0 < / _ => apply Rinv_0_lt_compat; pos
  | |- 0 < exp _ => apply exp_pos
  | |- 0 < sigmoid _ => apply sigmoid_pos
  | _ => first [ assumption | lra | solve [eauto] ]
  end
with nonneg :=
  match goal with
  | |- 0 <= _ * _ => apply Rmult_le_pos; nonneg
  | |- 0 <= relu _ => apply Rmax_r
  | _ => first [ assumption | apply Rlt_le; pos | solve [eauto] ]
  end.
Ltac sides :=
  repeat match goal with |- _ /\ _ => split end;
  first [ assumption | solve [eauto] | lra | apply Rgt_not_eq; unfold Rgt; pos ].
Ltac algebra := first [ reflexivity | ring | field; sides ].
Ltac deep := first [ reflexivity | ring | progress f_equal; deep ].
Ltac pointwise := apply functional_extensionality; intro i.
(* A matrix of numbers is such a map, so nothing that is assumed of matrices is empty. *)
Definition times (columns : nat) (w : nat -> nat -> R) (a : V) : V :=
  fun i => sum_f_R0 (fun j => w i j * a j) columns.
Lemma times_additive n w : additive (times n w).
Proof.
  intros a b. pointwise. unfold times. rewrite <- plus_sum. apply sum_eq. intros. ring.
Qed.
Lemma times_homogeneous n w : homogeneous (times n w).
Proof.
  intros k a. pointwise. unfold times. rewrite scal_sum. apply sum_eq. intros. ring.
Qed.
"""
