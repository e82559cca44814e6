/* The verbs, as the table of commands.c names them: each answers one command, see ctl.h. */
#ifndef DEBITD_CTL_VERBS_H
#define DEBITD_CTL_VERBS_H

#include "ctl/ctl.h"

/* operate.c: changes to accounts and credits */
int ctl_account_open(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_account_update(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_account_assign(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_account_close(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_credit_purchase(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_credit_grant(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_credit_refund(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_credit_adjust(struct ctl *c, struct error *ret_error) MUST_CHECK;
/* query.c */
int ctl_account_show(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_balance(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_usage(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_ledger(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_alerts(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_check(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_estimate(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_rejected_list(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_rejected_show(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_parked_list(struct ctl *c, struct error *ret_error) MUST_CHECK;
/* position.c */
int ctl_position_list(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_position_set(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_position_adopt_cluster(struct ctl *c, struct error *ret_error) MUST_CHECK;
/* verify.c, status.c */
int ctl_verify(struct ctl *c, struct error *ret_error) MUST_CHECK;
int ctl_status(struct ctl *c, struct error *ret_error) MUST_CHECK;

#endif
