#!/usr/bin/env bats
# Types of targets and their options, which are data: what is listed is what is taken.

load helper

@test "target list: haproxy and files, with what they can do" {
	certauto target list
	ended 0
	[[ $output =~ haproxy\ +http-01,\ deploy ]]
	[[ $output =~ files\ +http-01,\ tls-alpn-01,\ deploy ]]
	certauto --json target list
	json '{"type": "haproxy", "capabilities": ["http-01", "deploy"]} in top["targets"]'
}

@test "target options: those of haproxy, and the common ones" {
	certauto target options haproxy
	ended 0
	says socket crt map probe challenge_check ca_file pin timeout_ms insecure required \
		allow_key_over_insecure
}

@test "target options --json: every option has a name, a type and help" {
	for type in haproxy files; do
		certauto --json target options $type
		ended 0
		json 'len(top["options"]) > 8'
		json 'len({o["name"] for o in top["options"]}) == len(top["options"])'
		json '{o["type"] for o in top["options"]} <=
			{"text", "path", "number", "boolean", "list", "argv"}'
		json 'all(len(o["help"]) > 10 for o in top["options"])'
	done
}

@test "target options: an unknown type is named, and the types are listed" {
	certauto target options hapoxy
	ended 2
	complains hapoxy haproxy files
	certauto target options
	ended 2
	complains TYPE
}

@test "target recipe: of a type as its options say, or of a target of the configuration" {
	certauto target recipe netscaler,url=https://adc.example.org,user=robot
	ended 0
	says robot
	cat >c.json <<-END
	{"state": "$PWD/state",
	 "targets": {"edge": {"type": "netscaler", "url": "https://adc.example.org",
	                      "user": "robot", "password": "secret-not-told",
	                      "vserver": "web"}}}
	END
	certauto -c c.json target recipe edge
	ended 0
	says robot
	[[ $output != *secret-not-told* ]]
	certauto --json target recipe netscaler,user=robot
	ended 0
	json 'top["verb"] == "target recipe" and top["type"] == "netscaler"'
	json '"robot" in top["recipe"]'
}

@test "target recipe: what is wrong with the command line" {
	certauto target recipe
	ended 2
	complains TYPE
	certauto target recipe hapoxy,socket=/none
	ended 2
	complains hapoxy haproxy files
	certauto target recipe netscaler,usr=robot
	ended 2
	complains usr user
	certauto target recipe netscaler,password=hunter2
	ended 2
	complains password file:PATH
	[[ $stderr != *hunter2* ]]
	printf '{"state": "%s/state"}\n' "$PWD" >c.json
	certauto -c c.json target recipe edge
	ended 2
	complains edge
}

@test "target recipe: there is none where there are no accounts" {
	certauto target recipe haproxy
	ended 1
	complains haproxy recipe
}

@test "target test: of a target that is not configured" {
	printf '{"state": "%s/state"}\n' "$PWD" >c.json
	certauto -c c.json target test edge
	ended 2
	complains edge
}

@test "target renew: what it takes" {
	certauto target renew
	ended 2
	complains "usage: certauto target renew NAME"
	printf '{"state": "%s/state"}\n' "$PWD" >c.json
	certauto -c c.json target renew edge
	ended 2
	complains edge
	certauto -c c.json target renew edge web
	ended 2
	complains web
	certauto -c c.json target renew edge --force
	ended 2
	complains "takes no option --force"
}

@test "target renew: only of devices that renew by themselves" {
	printf '{"state": "%s/state", "targets": {"web": {"type": "files", "directory": "%s"}}}\n' \
		"$PWD" "$PWD" >c.json
	certauto -c c.json target renew web
	ended 1
	complains web files
	[ -z "$output" ]
	certauto -c c.json --json target renew web
	ended 1
	json 'top["verb"] == "target renew" and top["results"][0]["name"] == "web"'
	json 'top["results"][0]["outcome"] == "failed"'
	json 'top["results"][0]["error"]["code"] == "CERTAUTO_EUNSUPPORTED"'
}

@test "target renew: a device that cannot be reached is named" {
	cat >c.json <<-END
	{"state": "$PWD/state",
	 "targets": {"edge": {"type": "avi", "url": "https://127.0.0.1:1", "user": "robot",
	                      "password": "secret-not-told", "certificate": "shop"}}}
	END
	certauto -c c.json target renew edge
	ended 1
	complains 127.0.0.1:1
	[[ $stderr != *secret-not-told* ]]
}

@test "target test: a socket that is not there is named" {
	cat >c.json <<-END
	{"state": "$PWD/state",
	 "targets": {"edge": {"type": "haproxy", "socket": "$PWD/none.sock",
	                      "crt": "$PWD/a.pem", "map": "$PWD/a.map"}}}
	END
	certauto -c c.json target test edge
	ended 1
	complains "$PWD/none.sock"
	certauto -c c.json --json target test edge
	ended 1
	json 'top["verb"] == "target test" and top["results"][0]["outcome"] == "failed"'
	json 'top["results"][0]["name"] == "edge"'
	json '"none.sock" in top["results"][0]["error"]["message"]'
}
