/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator of a controller makes there for certauto: an account that may do what it
 * does and no more, and for certificates that the controller renews by itself the script and its
 * certificate management profile. */

#include "targets/avi.h"

#include <stdio.h>
#include <string.h>

const struct certauto__avi_right certauto__avi_rights[] = {
	{"PERMISSION_VIRTUALSERVICE", "virtualservice", "finding and changing virtual services", 1},
	{"PERMISSION_HTTPPOLICYSET", "httppolicyset", "answering challenges", 1},
	{"PERMISSION_SSLKEYANDCERTIFICATE", "sslkeyandcertificate", "deploying certificates", 1},
	{"PERMISSION_APPLICATIONPROFILE", "applicationprofile",
		"telling which virtual services speak HTTP", 0},
	{"PERMISSION_CERTIFICATEMANAGEMENTPROFILE", CERTAUTO__AVI_PROFILES,
		"verifying the certificate management profile", 0},
	{"PERMISSION_ALERTCONFIG", CERTAUTO__AVI_SCRIPTS,
		"verifying the script of the certificate management profile", 0},
	{NULL, NULL, NULL, 0}};

const struct certauto__avi_param certauto__avi_params[] = {
	{"user", 0},
	{"password", CERTAUTO__AVI_SENSITIVE},
	{"tenant", 0},
	{"dryrun", CERTAUTO__AVI_DYNAMIC},
	{"contact", 0},
	{"disable_check", CERTAUTO__AVI_DYNAMIC},
	{"overwrite_vs", CERTAUTO__AVI_DYNAMIC},
	{"directory_url", 0},
	{"letsencrypt_key", CERTAUTO__AVI_SENSITIVE},
	{"debug", 0},
	{"state", 0},
	{"ca_file", 0},
	{"eab_kid", 0},
	{"eab_hmac", CERTAUTO__AVI_SENSITIVE},
	{"profile", 0},
	{"api_version", 0},
	{"dns_target", CERTAUTO__AVI_SENSITIVE},
	{"controller_ca_file", 0},
	{"controller_pin", 0},
	{"challenge_check", CERTAUTO__AVI_DYNAMIC},
	{"timeout", 0},
	{NULL, 0}};

/* All of it is in the library; letsencrypt.py beside the bindings tells more of the parameters. */
static const char script[] =
	"import os, sys\n"
	"sys.path.insert(0, os.path.join("
	"os.environ.get(\"CERTAUTO_BUNDLE\", \"/opt/certauto\"), \"python\"))\n"
	"from certauto import controlscript\n"
	"\n"
	"def certificate_request(csr, common_name, args):\n"
	"    return controlscript.request(csr, common_name, args)\n";

struct recipe {
	certauto__json w;
	const char *name, *user, *tenant, *profile;
	int verifies;               /* target test will look at the profile */
	char script[CERTAUTO__AVI_NAME];
};

/* The controller looks for what has that name. */
static void put_named(struct recipe *recipe, const char *key, const char *type, const char *name)
{
	certauto__buffer ref = CERTAUTO__BUFFER(1024);

	certauto__buffer_printf(&ref, "/api/%s?name=", type);
	certauto__url_escape(&ref, name);
	certauto__json_put_text(&recipe->w, key, certauto__buffer_text(&ref));
	if (ref.rc < 0)
		recipe->w.out->rc = ref.rc;
	certauto__buffer_free(&ref);
}

static void begin(struct recipe *recipe, const char *type, const char *name)
{
	certauto__json_key(&recipe->w, type);
	certauto__json_object(&recipe->w);
	certauto__json_put_text(&recipe->w, "name", name);
}

static void put_role(struct recipe *recipe)
{
	const struct certauto__avi_right *right;

	begin(recipe, "role", recipe->name);
	certauto__json_key(&recipe->w, "privileges");
	certauto__json_array(&recipe->w);
	for (right = certauto__avi_rights; right->resource != NULL; right++) {
		if (strcmp(right->type, CERTAUTO__AVI_SCRIPTS) == 0 && !recipe->verifies)
			continue;
		certauto__json_object(&recipe->w);
		certauto__json_put_text(&recipe->w, "resource", right->resource);
		certauto__json_put_text(&recipe->w, "type",
			right->writes ? "WRITE_ACCESS" : "READ_ACCESS");
		certauto__json_object_end(&recipe->w);
	}
	certauto__json_array_end(&recipe->w);
	certauto__json_object_end(&recipe->w);
}

static void put_user(struct recipe *recipe)
{
	begin(recipe, "user", recipe->user);
	certauto__json_put_text(&recipe->w, "username", recipe->user);
	certauto__json_put_text(&recipe->w, "password", "PASSWORD");
	certauto__json_put_bool(&recipe->w, "is_superuser", 0);
	put_named(recipe, "default_tenant_ref", "tenant", recipe->tenant);
	certauto__json_key(&recipe->w, "access");
	certauto__json_array(&recipe->w);
	certauto__json_object(&recipe->w);
	put_named(recipe, "role_ref", "role", recipe->name);
	put_named(recipe, "tenant_ref", "tenant", recipe->tenant);
	certauto__json_object_end(&recipe->w);
	certauto__json_array_end(&recipe->w);
	certauto__json_object_end(&recipe->w);
}

static const char *value_of(const struct recipe *recipe, const char *name)
{
	if (strcmp(name, "user") == 0)
		return recipe->user;
	if (strcmp(name, "password") == 0)
		return "PASSWORD";
	if (strcmp(name, "tenant") == 0)
		return recipe->tenant;
	return "";
}

static void put_params(struct recipe *recipe)
{
	const struct certauto__avi_param *param;

	certauto__json_key(&recipe->w, "script_params");
	certauto__json_array(&recipe->w);
	for (param = certauto__avi_params; param->name != NULL; param++) {
		certauto__json_object(&recipe->w);
		certauto__json_put_text(&recipe->w, "name", param->name);
		/* A dynamic one has its value in each certificate. */
		if ((param->flags & CERTAUTO__AVI_DYNAMIC) == 0)
			certauto__json_put_text(
				&recipe->w, "value", value_of(recipe, param->name));
		certauto__json_put_bool(&recipe->w, "is_sensitive",
			(param->flags & CERTAUTO__AVI_SENSITIVE) != 0);
		certauto__json_put_bool(&recipe->w, "is_dynamic",
			(param->flags & CERTAUTO__AVI_DYNAMIC) != 0);
		certauto__json_object_end(&recipe->w);
	}
	certauto__json_array_end(&recipe->w);
}

static void put_script(struct recipe *recipe)
{
	begin(recipe, CERTAUTO__AVI_SCRIPTS, recipe->script);
	certauto__json_put_text(&recipe->w, "action_script", script);
	certauto__json_object_end(&recipe->w);
	begin(recipe, CERTAUTO__AVI_PROFILES, recipe->profile);
	put_named(recipe, "run_script_ref", CERTAUTO__AVI_SCRIPTS, recipe->script);
	put_params(recipe);
	certauto__json_object_end(&recipe->w);
}

int certauto__avi_recipe(const certauto_target *target, certauto__buffer *out, certauto_error *err)
{
	struct recipe recipe = {.name = certauto__option_text(target, "prefix"),
		.user = certauto__option_text(target, "user"),
		.tenant = certauto__option_text(target, "tenant"),
		.profile = certauto__option_text(target, "profile")};

	if (recipe.user == NULL || strcmp(recipe.user, "admin") == 0) /* that one may do anything */
		recipe.user = recipe.name;
	recipe.verifies = recipe.profile != NULL;
	if (!recipe.verifies)
		recipe.profile = recipe.name;
	(void)snprintf(recipe.script, sizeof(recipe.script), "%s-letsencrypt", recipe.name);
	certauto__json_start(&recipe.w, out, 1);
	certauto__json_object(&recipe.w);
	put_role(&recipe);
	put_user(&recipe);
	put_script(&recipe);
	certauto__json_object_end(&recipe.w);
	certauto__buffer_text_add(out, "\n");
	return out->rc < 0 ? certauto__error_set(err, out->rc, target->label, "%s",
		certauto_error_text(out->rc)) : 0;
}
