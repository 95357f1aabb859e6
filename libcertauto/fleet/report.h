/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_REPORT_H
#define CERTAUTO_FLEET_REPORT_H

#include "fleet/fleet.h"

/* JSON texts for the caller of the public API (certauto_mem_free()). */
/* names NULL = all */
int certauto__fleet_status(char **out, const certauto_fleet *fleet, const char *const *names,
	size_t n_names, certauto_error *err);
int certauto__fleet_plan(char **out, const certauto_fleet *fleet, const char *const *names,
	size_t n_names, int forced, certauto_error *err);
int certauto__fleet_results(char **out, const certauto_fleet *fleet, certauto_error *err);

#endif
