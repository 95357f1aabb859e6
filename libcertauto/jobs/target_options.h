/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JOBS_TARGET_OPTIONS_H
#define CERTAUTO_JOBS_TARGET_OPTIONS_H

/* The values behind struct certauto_target: for the files that make, show and release targets. All
 * others read them by name (jobs/target.h). */

#include "jobs/target.h"

struct certauto__option_value {
	const struct certauto__option *option;
	int is_set;                 /* by somebody; else what it holds is the default */
	certauto__secret *secret;   /* as it was set: of a SENSITIVE one */
	char *text;                 /* of all others; NULL = neither set nor a default */
	certauto__list list;        /* LIST, ARGV */
	int64_t number;             /* NUMBER, BOOLEAN */
};

int certauto__option_values_new(struct certauto__option_value **out, size_t *n_out,
	const struct certauto__target_row *row, certauto_error *err);
void certauto__option_values_free(struct certauto__option_value *values, size_t n);

/* one that every target has, or every one with DNS01 */
int certauto__option_is_common(const char *name);
/* CERTAUTO_OPTION_*, also for the public face */
int certauto__option_flags(const struct certauto__option *option);
const char *certauto__option_type_name(const struct certauto__option *option); /* "text" ... */
int certauto__option_type_parse(const char *name, enum certauto__option_type *out);

#endif
