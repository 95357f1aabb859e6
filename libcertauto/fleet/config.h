/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_CONFIG_H
#define CERTAUTO_FLEET_CONFIG_H

/* Between the files that read the configuration. */

#include "fleet/fleet.h"
#include "fleet/node.h"
#include "json/writer.h"

/* A target by its entry in "targets"; the caller owns it. */
int certauto__config_target(const struct certauto__config *config,
	const struct certauto__node *node, certauto_target **out);
/* Sets the members of object as options, without those in except (NULL-terminated). */
int certauto__config_options(const struct certauto__config *config,
	const struct certauto__node *object, const char *const *except, certauto_target *target);
int certauto__config_certificate(const struct certauto__config *config,
	const struct certauto__node *node, certauto_fleet *fleet);
/* 1 if some certificate gives that target options of its own. */
int certauto__config_is_overridden(const struct certauto__node *top, const char *target);

void certauto__results_free(certauto_fleet *fleet);

#endif
