/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator of an account makes there for certauto: a custom policy that allows what
 * it does and no more, and a user with an access key and nothing else. */

#include "targets/fe.h"

#include <string.h>

/* Actions that a user's policy has to allow. */
static const struct right {
	const char *action;
	int cap;     /* CERTAUTO_TARGET_* that it is needed for */
} rights[] = {
	{"dns:zone:list", CERTAUTO_TARGET_DNS01},
	{"dns:zone:get", CERTAUTO_TARGET_DNS01},
	{"dns:recordset:list", CERTAUTO_TARGET_DNS01},
	{"dns:recordset:get", CERTAUTO_TARGET_DNS01},
	{"dns:recordset:create", CERTAUTO_TARGET_DNS01},
	{"dns:recordset:update", CERTAUTO_TARGET_DNS01},
	{"dns:recordset:delete", CERTAUTO_TARGET_DNS01},
	{"elb:certificates:list", CERTAUTO_TARGET_DEPLOY},
	{"elb:certificates:get", CERTAUTO_TARGET_DEPLOY},
	{"elb:certificates:create", CERTAUTO_TARGET_DEPLOY},
	{"elb:certificates:put", CERTAUTO_TARGET_DEPLOY},
	{"elb:certificates:delete", CERTAUTO_TARGET_DEPLOY},
	{"elb:listeners:list", CERTAUTO_TARGET_DEPLOY},
	{"elb:listeners:get", CERTAUTO_TARGET_DEPLOY},
	{"elb:listeners:put", CERTAUTO_TARGET_DEPLOY},
	{"elb:loadbalancers:get", CERTAUTO_TARGET_DEPLOY},
	{"elb:quotas:list", CERTAUTO_TARGET_DEPLOY},
};

/* One policy for each: users that need one of them only get one only. */
static void put_policy(certauto__json *w, const char *name, const char *what, int cap)
{
	certauto__buffer text = CERTAUTO__BUFFER(256);
	size_t i;

	certauto__json_object(w);
	certauto__json_key(w, "role");
	certauto__json_object(w);
	certauto__buffer_printf(&text, "%s-%s", name, what);
	certauto__json_put_text(w, "display_name", certauto__buffer_text(&text));
	certauto__json_put_text(w, "type", "XA"); /* of one project */
	certauto__json_put_text(w, "description", "what certauto needs, and no more");
	certauto__json_key(w, "policy");
	certauto__json_object(w);
	certauto__json_put_text(w, "Version", "1.1");
	certauto__json_key(w, "Statement");
	certauto__json_array(w);
	certauto__json_object(w);
	certauto__json_put_text(w, "Effect", "Allow");
	certauto__json_key(w, "Action");
	certauto__json_array(w);
	for (i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		if (rights[i].cap == cap)
			certauto__json_text(w, rights[i].action);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
	certauto__json_object_end(w);
	if (text.rc < 0)
		w->out->rc = text.rc;
	certauto__buffer_free(&text);
}

/* How they are made is told beside them: the API takes them one by one, the console by hand. */
int certauto__fe_recipe(const certauto_target *target, certauto__buffer *out, certauto_error *err)
{
	const char *name = certauto__option_text(target, "prefix"),
		*user = certauto__option_text(target, "user");
	certauto__json w;

	certauto__json_start(&w, out, 1);
	certauto__json_object(&w);
	certauto__json_key(&w, "POST /v3.0/OS-ROLE/roles");
	certauto__json_array(&w);
	put_policy(&w, name, "dns", CERTAUTO_TARGET_DNS01);
	put_policy(&w, name, "elb", CERTAUTO_TARGET_DEPLOY);
	certauto__json_array_end(&w);
	certauto__json_key(&w, "POST /v3.0/OS-USER/users");
	certauto__json_object(&w);
	certauto__json_key(&w, "user");
	certauto__json_object(&w);
	certauto__json_put_text(&w, "name", user != NULL ? user : name);
	certauto__json_put_text(&w, "access_mode", "programmatic");
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	certauto__json_key(&w, "POST /v3.0/OS-CREDENTIAL/credentials");
	certauto__json_object(&w);
	certauto__json_key(&w, "credential");
	certauto__json_object(&w);
	certauto__json_put_text(&w, "user_id", "ID OF THE USER");
	certauto__json_put_text(&w, "description", "access_key and secret_key of certauto");
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	certauto__json_object_end(&w);
	certauto__buffer_text_add(out, "\n");
	return out->rc < 0 ? certauto__error_set(err, out->rc, target->label, "%s",
		certauto_error_text(out->rc)) : 0;
}
