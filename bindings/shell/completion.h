/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_COMPLETION_H
#define CERTAUTO_SHELL_COMPLETION_H

/* The scripts that certauto completion prints. */

extern const char completion_bash[], completion_zsh[];

#endif
