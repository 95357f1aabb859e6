/* SPDX-License-Identifier: Apache-2.0 */
/* The option table of a target written outside, which is JSON text: no public struct has to
 * grow. */

#include "targets/outside.h"

#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "jobs/target_options.h"
#include "json/reader.h"

#define OPTIONS_MAX 64

static const char *option_text(const certauto__json_value *value)
{
	return value->type == CERTAUTO__JSON_STRING ? value->text : NULL;
}

static int option_name_valid(const char *name)
{
	return name != NULL && name[0] != '\0' &&
		name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0' &&
		!certauto__option_is_common(name);
}

static int option_flag(struct certauto__option *option, const certauto__json_value *value, int flag)
{
	int on;

	if (certauto__json_bool(value, &on) < 0)
		return CERTAUTO_EINVAL;
	if (on)
		option->flags |= flag;
	return 0;
}

static int copy_text(const char **out, const certauto__json_value *value)
{
	if (value->type == CERTAUTO__JSON_NULL)
		return 0;
	if (option_text(value) == NULL || *out != NULL)
		return CERTAUTO_EINVAL;
	return (*out = certauto__strdup(value->text)) != NULL ? 0 : CERTAUTO_ENOMEM;
}

static int option_member(struct certauto__option *option, const char *member,
	const certauto__json_value *value)
{
	if (certauto__text_equal(member, "name"))
		return copy_text(&option->name, value);
	if (certauto__text_equal(member, "default"))
		return copy_text(&option->value, value);
	if (certauto__text_equal(member, "help"))
		return copy_text(&option->help, value);
	if (certauto__text_equal(member, "required"))
		return option_flag(option, value, CERTAUTO_OPTION_REQUIRED);
	if (certauto__text_equal(member, "sensitive"))
		return option_flag(option, value, CERTAUTO_OPTION_SENSITIVE);
	if (certauto__text_equal(member, "type"))
		return option_text(value) != NULL &&
				certauto__option_type_parse(value->text, &option->type) == 0
			? 0
			: CERTAUTO_EINVAL;
	return CERTAUTO_EINVAL;
}

static int options_cb(void *arg, const certauto__json_value *value)
{
	struct certauto__outside *outside = arg;
	struct certauto__option *option;

	switch (value->n_parts) {
	case 0:
		return value->type == CERTAUTO__JSON_ARRAY ||
				value->type == CERTAUTO__JSON_ARRAY_END
			? 0
			: CERTAUTO_EINVAL;
	case 1:
		if (value->type == CERTAUTO__JSON_OBJECT_END)
			return option_name_valid(outside->options[outside->n_options - 1].name)
				? 0
				: CERTAUTO_EINVAL;
		if (value->type != CERTAUTO__JSON_OBJECT || outside->n_options == OPTIONS_MAX)
			return CERTAUTO_EINVAL;
		option = &outside->options[outside->n_options++];
		option->max = INT64_MAX;
		return 0;
	case 2:
		return option_member(&outside->options[outside->n_options - 1], value->parts[1],
			value);
	}
	return CERTAUTO_EINVAL;
}

int certauto__outside_options(struct certauto__outside *outside, const char *json,
	certauto_error *err)
{
	certauto_error why = {0};
	int rc;

	outside->options = certauto__alloc((OPTIONS_MAX + 1) * sizeof(*outside->options));
	if (outside->options == NULL)
		return certauto__error_nomem(err);
	if (json == NULL)
		return 0;
	rc = certauto__json_read("options_json", json, strlen(json), &certauto__json_limits_device,
		options_cb, outside, &why);
	if (rc == CERTAUTO_ENOMEM)
		certauto__error_nomem(err);
	else if (rc < 0)
		rc = certauto__error_set(err, CERTAUTO_EINVAL, outside->name,
			"options_json of \"%s\" is not a list of "
			"{\"name\",\"type\",\"required\",\"sensitive\",\"default\",\"help\"} with "
			"names of its own in lower case: option %zu: %s",
			outside->name, outside->n_options,
			why.message != NULL ? why.message : "wrong member or value");
	certauto__error_clear(&why);
	return rc;
}

void certauto__outside_options_free(struct certauto__outside *outside)
{
	size_t i;

	for (i = 0; i < outside->n_options; i++) {
		certauto__free((void *)outside->options[i].name);
		certauto__free((void *)outside->options[i].value);
		certauto__free((void *)outside->options[i].help);
	}
	certauto__free(outside->options);
}
