/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_NSX_H
#define CERTAUTO_TESTS_FAKE_NSX_H

/* A manager that says what it is told to, with passwords in each call or sessions. How a real one
 * behaves is for the simulator of tests/sim. */

#include "fake_device.h"

#define WRONG \
	"{\"httpStatus\":\"FORBIDDEN\",\"error_code\":403,\"module_name\":\"common-services\"," \
	"\"error_message\":\"The credentials were incorrect or the account specified has been " \
	"locked.\"}"
#define NO_RIGHT \
	"{\"httpStatus\":\"FORBIDDEN\",\"error_code\":401,\"error_message\":\"User is not " \
	"authorized to perform this operation on the application.\"}"

/* Besides what all devices have. */
struct manager {
	struct device device;
	const char *version;   /* NULL: 4.1 */
	int n_refused;         /* how often a password was */
	char last[8192];       /* the last request */
};

static inline void device_login(struct device *device, int fd, const char *text, const char *body)
{
	static int number;
	char more[256];

	device->n_logins++;
	assert_null(strstr(text, "Authorization:"));
	assert_non_null(strstr(text, "Content-Type: application/x-www-form-urlencoded\r\n"));
	if (strcmp(body, "j_username=admin&j_password=right%26") != 0) {
		((struct manager *)device)->n_refused++;
		device_say(fd, 403, "", WRONG);
		return;
	}
	device->session = __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
	snprintf(more, sizeof(more),
		"Set-Cookie: JSESSIONID=SID%d; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"
		"X-XSRF-TOKEN: xsrf%d\r\n", device->session, device->session);
	device_say(fd, 200, more, "");
}

static inline int device_knows(struct device *device, const char *text)
{
	char header[128];

	if (strstr(text, "Authorization:") != NULL) /* admin:right& */
		return strstr(text, "Authorization: Basic YWRtaW46cmlnaHQm\r\n") != NULL ||
			strstr(text, "Authorization: Remote YWRtaW46cmlnaHQm\r\n") != NULL;
	snprintf(header, sizeof(header), "Cookie: JSESSIONID=SID%d\r\n", device->session);
	if (device->session == 0 || strstr(text, header) == NULL)
		return 0;
	snprintf(header, sizeof(header), "X-XSRF-TOKEN: xsrf%d\r\n", device->session);
	return strstr(text, header) != NULL;
}

static inline void device_answer(struct device *device, int fd, const char *text, const char *body)
{
	struct manager *manager = (struct manager *)device; /* it comes first */
	char method[16], path[1024], request[1100], version[128];
	size_t len = strlen(device->log);
	struct line *line;

	assert_int_equal(sscanf(text, "%15s %1023s", method, path), 2);
	snprintf(request, sizeof(request), "%s %s", method, path);
	snprintf(device->log + len, sizeof(device->log) - len, "%s\n", request);
	line = device_line(device, request);
	if (strcmp(request, "POST /api/session/create") == 0 && line == NULL) {
		device_login(device, fd, text, body);
		return;
	}
	if (strcmp(request, "POST /api/session/create") == 0) {
		device_reply(fd, line, "", "");
		return;
	}
	device->n_calls++;
	if (device->n_calls == device->lose_at)
		device->session = 0;
	if (device->n_calls == device->cut_at)
		return;
	snprintf(manager->last, sizeof(manager->last), "%.8000s", text);
	if (!device_knows(device, text)) {
		manager->n_refused++;
		device_say(fd, 403, "", WRONG);
		return;
	}
	device->n_logouts += strcmp(request, "POST /api/session/destroy") == 0;
	snprintf(version, sizeof(version), "{\"node_version\":\"%s\"}",
		manager->version != NULL ? manager->version : "4.1.0.0.0.1");
	device_reply(fd, line, "", strstr(path, "/node/version") != NULL ? version :
		strstr(path, "virtual-ip") != NULL ? "{\"ip_address\":\"10.0.0.5\"}" : "{}");
}

#endif
