/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_ADHOC_H
#define CERTAUTO_SHELL_ADHOC_H

/* A configuration made from the command line. */

#include "shell.h"

#define ADHOC_ACCOUNT "default" /* what it is called in the state directory */

/* Makes the fleet from the options. 0 or an exit status, said. */
int adhoc_open(struct shell *shell);

#endif
