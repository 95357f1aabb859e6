/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_TARGETS_H
#define CERTAUTO_TARGETS_TARGETS_H

/* The rows that targets.c puts into its table. */

#include "jobs/target.h"

extern const struct certauto__target_row certauto__target_avi;
extern const struct certauto__target_row certauto__target_files;
extern const struct certauto__target_row certauto__target_flexibleengine;
extern const struct certauto__target_row certauto__target_haproxy;
extern const struct certauto__target_row certauto__target_hook;
extern const struct certauto__target_row certauto__target_netscaler;
extern const struct certauto__target_row certauto__target_nsx;
extern const struct certauto__target_row certauto__target_rfc2136;

#endif
