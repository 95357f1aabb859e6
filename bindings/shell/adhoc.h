/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_ADHOC_H
#define CERTAUTO_SHELL_ADHOC_H

/* A configuration made from the command line. */

#include "shell.h"

#define ADHOC_ACCOUNT "default" /* what it is called in the state directory */

/* Makes the fleet from the options. 0 or an exit status, said. */
int adhoc_open(struct shell *shell);

/* A target: "TYPE,option=value,..." as after --target, or the name of one in the configuration
 * file. bare: what is missing may be, and secrets are not fetched. 0 or an exit status, said. */
int adhoc_target(struct shell *shell, const char *text, int bare, certauto_target **out);
/* The same for work that may be cut short: the journal of what a killed run was about is in the
 * state directory of the configuration; nothing of the kind belongs to a target that is made of
 * options. is_first: of those that the context works on. The shell has no fleet then. */
int adhoc_with_store(struct shell *shell, const char *text, int is_first, certauto_target **out);
/* One of the configuration file. */
int adhoc_named(struct shell *shell, const char *name, certauto_target **out);
/* What a certificate is called that --name does not name: its first name, where neither a star nor
 * the colon of an address has a place. */
void adhoc_add_name(struct text *out, const char *first);

#endif
