/* SPDX-License-Identifier: Apache-2.0 */
/* What this build of the library is. */

#include <certauto/version.h>

#include <stddef.h>

#include "core/text.h"

/* Kept by hand: the tables of targets and stores lie in higher rows, which core may not see. The
 * tests compare the two. */
static const char *const version_features[] = {
	"target:haproxy",
	"target:files",
	"store:files",
};

const char *certauto_version(void)
{
	return CERTAUTO_VERSION;
}

int certauto_version_number(void)
{
	return CERTAUTO_VERSION_NUMBER;
}

int certauto_version_has(const char *feature)
{
	size_t i;

	for (i = 0; i < sizeof(version_features) / sizeof(version_features[0]); i++)
		if (certauto__text_equal(version_features[i], feature))
			return 1;
	return 0;
}
