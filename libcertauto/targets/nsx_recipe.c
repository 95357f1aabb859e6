/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator of a cluster makes there for certauto: a role that may do what it does and
 * no more, and who has it. Roles can be made from 3.1 on. */

#include "targets/nsx.h"

#include <string.h>

#define CERTIFICATES "/api/v1/trust-management/certificates?page_size=1"

const struct certauto__nsx_right certauto__nsx_rights[] = {
	{"trust_certificates", "crud", CERTIFICATES, "importing, using and removing certificates",
		CERTAUTO__NSX_MANAGERS},
	{"cluster_management", "read", "/api/v1/cluster", "telling managers and virtual IP",
		CERTAUTO__NSX_MANAGERS},
	{"cluster_management", "crud", NULL, "setting the virtual IP", CERTAUTO__NSX_VIP},
	{"security_config", "read", NULL, "telling what the managers demand of a certificate",
		CERTAUTO__NSX_MANAGERS},
	{"system_administration", "crud", "/api/v1/node/services/http",
		"using certificates before 3.2", CERTAUTO__NSX_LEGACY},
	{"trust_csrs", "crud", "/api/v1/trust-management/csrs?page_size=1",
		"keys that the managers make", CERTAUTO__NSX_KEYS},
	{"policy_certificate", "crud", "/policy/api/v1/infra/certificates?page_size=1",
		"importing and removing certificates", CERTAUTO__NSX_LB},
	{"policy_lb", "crud", "/policy/api/v1/infra/lb-virtual-servers?page_size=1",
		"changing virtual servers", CERTAUTO__NSX_LB},
	{NULL, NULL, NULL, NULL, 0}};

int certauto__nsx_uses(const certauto_target *target, int legacy)
{
	int uses = CERTAUTO__NSX_MANAGERS;

	if (certauto__nsx_is_lb(target))
		return CERTAUTO__NSX_LB;
	if (legacy < 0)
		legacy = certauto__text_equal(certauto__option_text(target, "dialect"), "legacy");
	if (legacy)
		uses |= CERTAUTO__NSX_LEGACY;
	if (certauto__option_text(target, "vip") != NULL)
		uses |= CERTAUTO__NSX_VIP;
	return uses;
}

int certauto__nsx_has_legacy_role(const certauto_target *target)
{
	return !certauto__nsx_is_lb(target) &&
		certauto__text_equal(certauto__option_text(target, "dialect"), "auto");
}

/* The last of several permissions for one feature is the widest. */
static int is_widest(const struct certauto__nsx_right *right, int uses)
{
	const struct certauto__nsx_right *other = right + 1;

	for (; other->feature != NULL; other++)
		if ((other->when & uses) != 0 && strcmp(other->feature, right->feature) == 0)
			return 0;
	return 1;
}

static void put_role(certauto__json *w, const char *name, const char *suffix, int uses)
{
	certauto__buffer key = CERTAUTO__BUFFER(256);
	const struct certauto__nsx_right *right;

	certauto__buffer_printf(&key, "PUT /policy/api/v1/aaa/roles/%s%s", name, suffix);
	certauto__json_key(w, certauto__buffer_text(&key));
	certauto__json_object(w);
	certauto__buffer_clear(&key);
	certauto__buffer_printf(&key, "%s%s", name, suffix);
	certauto__json_put_text(w, "display_name", certauto__buffer_text(&key));
	certauto__json_key(w, "features");
	certauto__json_array(w);
	for (right = certauto__nsx_rights; right->feature != NULL; right++) {
		if ((right->when & uses) == 0 || !is_widest(right, uses))
			continue;
		certauto__json_object(w);
		certauto__json_put_text(w, "feature", right->feature);
		certauto__json_put_text(w, "permission", right->permission);
		certauto__json_object_end(w);
	}
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	if (key.rc < 0)
		w->out->rc = key.rc;
	certauto__buffer_free(&key);
}

static void put_binding(certauto__json *w, const char *user, const char *type, const char *role)
{
	certauto__json_key(w, "POST /policy/api/v1/aaa/role-bindings");
	certauto__json_object(w);
	certauto__json_put_text(w, "name", user);
	certauto__json_put_text(w, "type", type);
	certauto__json_key(w, "roles");
	certauto__json_array(w);
	certauto__json_object(w);
	certauto__json_put_text(w, "role", role);
	certauto__json_object_end(w);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
}

int certauto__nsx_recipe(const certauto_target *target, certauto__buffer *out, certauto_error *err)
{
	const char *name = certauto__option_text(target, "name_prefix"),
		*user = certauto__option_text(target, "user"),
		*auth = certauto__option_text(target, "auth");
	certauto__json w;

	if (user == NULL || strcmp(user, "admin") == 0) /* that one may do anything */
		user = name;
	certauto__json_start(&w, out, 1);
	certauto__json_object(&w);
	put_role(&w, name, "", certauto__nsx_uses(target, -1));
	/* Roles of their own: few need them. */
	if (certauto__nsx_has_legacy_role(target))
		put_role(&w, name, CERTAUTO__NSX_LEGACY_ROLE, CERTAUTO__NSX_LEGACY);
	if (!certauto__nsx_is_lb(target))
		put_role(&w, name, "-keys", CERTAUTO__NSX_KEYS);
	put_binding(&w, user,
		certauto__text_equal(auth, "remote") ? "remote_user" : "local_user", name);
	certauto__json_object_end(&w);
	certauto__buffer_text_add(out, "\n");
	return out->rc < 0 ? certauto__error_set(err, out->rc, target->label, "%s",
		certauto_error_text(out->rc)) : 0;
}
