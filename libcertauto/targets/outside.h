/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_OUTSIDE_H
#define CERTAUTO_TARGETS_OUTSIDE_H

/* Targets written in other programs: a table of resumable calls, made into a row like ours. */

#include <certauto/sys/target.h>

#include "jobs/target.h"

/* One type. Shared by its targets and, if it was added to a context, by that. */
struct certauto__outside {
	struct certauto__target_type type;   /* first: the context's list holds these */
	struct certauto__target_row row;
	certauto_target_ops ops;             /* as far as its version goes */
	void *payload;
	certauto_free_cb free_cb;
	int refs;                            /* atomic */
	char *name;
	struct certauto__option *options;    /* ends with a NULL name; texts owned */
	size_t n_options;
};

struct certauto__outside *certauto__outside_of(const certauto_target *target);

/* The one pair of tables that runs them all: outside_run.c. */
extern const struct certauto__table certauto__outside_present;
extern const struct certauto__table certauto__outside_deploy;
extern const struct certauto__table certauto__outside_csr;

/* [{"name","type","required","sensitive","default","help"}] into outside->options. EINVAL. */
int certauto__outside_options(struct certauto__outside *outside, const char *json,
	certauto_error *err);
void certauto__outside_options_free(struct certauto__outside *outside);

#endif
