/* SPDX-License-Identifier: Apache-2.0 */
/* Loads c-ares. Most who use certauto never have a record looked at: they need not install it. */

#include "dns/ares.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#include "dns/dns.h"

#define ARES_FILE "libcares.so.2"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct certauto__ares loaded;
static int is_loaded;
static const char *file = ARES_FILE;

/* NULL, or what is wrong with it. */
static const char *load(struct certauto__ares *out)
{
	static const struct {
		const char *name;
		size_t at;
	} functions[] = {
#define FUNCTION(result, name, parameters) {"ares_" #name, offsetof(struct certauto__ares, name)},
		CERTAUTO__ARES_FUNCTIONS(FUNCTION)
#undef FUNCTION
	};
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL), *function;
	size_t i;

	if (library == NULL)
		return dlerror();
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if ((function = dlsym(library, functions[i].name)) == NULL) {
			dlclose(library);
			return functions[i].name;
		}
		*(void **)((char *)out + functions[i].at) = function;
	}
	if (out->library_init(CERTAUTO__ARES_LIB_INIT_ALL) == CERTAUTO__ARES_SUCCESS)
		return NULL;
	dlclose(library);
	return "it cannot be started";
}

int certauto__ares_load(const struct certauto__ares **out, certauto_error *err)
{
	struct certauto__ares fresh;
	const char *why = NULL;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!is_loaded && (why = load(&fresh)) == NULL) {
		loaded = fresh;
		is_loaded = 1;
	}
	if (why != NULL)
		rc = certauto__error_set(err, CERTAUTO_EUNSUPPORTED, file,
			"the DNS cannot be asked without c-ares: %s", why);
	pthread_mutex_unlock(&lock);
	if (rc < 0)
		return certauto__error_advise(err,
			"install c-ares: on Debian the package libcares2, before Debian 13 "
			"libc-ares2");
	*out = &loaded;
	return 0;
}

void certauto__dns_library(const char *path)
{
	pthread_mutex_lock(&lock);
	file = path != NULL ? path : ARES_FILE;
	is_loaded = 0;
	pthread_mutex_unlock(&lock);
}
