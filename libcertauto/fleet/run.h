/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_RUN_H
#define CERTAUTO_FLEET_RUN_H

/* Between the files that start the jobs of a fleet. */

#include "fleet/config.h"
#include "fleet/fleet.h"

struct certauto__order_of_work {     /* what a caller asked for */
	enum certauto__mode mode;
	const char *const *names;    /* NULL = all */
	size_t n_names;
	int forced;
	int64_t deadline_ms;         /* 0 = none */
	int reason, by_key;          /* of a revocation */
};

int certauto__fleet_start(certauto_job **out, certauto_fleet *fleet,
	const struct certauto__order_of_work *work, certauto_error *err);
/* check.c: logs in everywhere. */
int certauto__fleet_start_test(certauto_job **out, certauto_fleet *fleet, int64_t deadline_ms,
	certauto_error *err);

/* The clock is not absurd, and the store takes what is written. */
int certauto__run_preflight(certauto_fleet *fleet, certauto_error *err);

int certauto__results_new(certauto_fleet *fleet, size_t n_max, certauto_error *err);
struct certauto__result *certauto__results_add(certauto_fleet *fleet, const char *name,
	const char *key, certauto_error *err); /* NULL: ENOMEM */
/* NEXT, or FAILED with the gravest reason. */
certauto__verdict certauto__results_verdict(certauto_job *job, const certauto_fleet *fleet);
void certauto__run_ended(certauto_job *job, void *fleet); /* `ended` of a root job */

/* For people: the certificate's name, and its key where there are several. */
void certauto__lineage_name(char *out, size_t size, const struct certauto__certificate *certificate,
	const char *key);

#endif
