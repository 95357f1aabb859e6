/* SPDX-License-Identifier: Apache-2.0 */
/* All targets of this library. A new one is a line here; the list is what `certauto target list`
 * shows. */

#include "targets/targets.h"

const struct certauto__target_row *const certauto__target_rows[] = {
	&certauto__target_avi, &certauto__target_files, &certauto__target_flexibleengine,
	&certauto__target_haproxy, &certauto__target_hook,
	&certauto__target_netscaler, &certauto__target_nsx,
	&certauto__target_rfc2136, NULL};
