"""Secrets, places and innocents: what `redact` is held against. Every secret is made up, from what its vendor publishes.

They are put together at run time, so that no scanner of repositories takes this file for a leak. In a text, `{x16}` stands for
16 characters of the alphabet `x`.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Iterator
from typing import NamedTuple

_ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "d": string.digits,
    "w": string.ascii_letters + string.digits + "_-",
    "b": string.ascii_letters + string.digits + "+/",
}


def made(text: str, seed: int = 0) -> str:
    """The text with its parts filled; always the same."""
    source = random.Random(f"{text}{seed}")
    return re.sub(
        r"\{(\w)(\d+)\}",
        lambda match: "".join(source.choices(_ALPHABETS[match[1]], k=int(match[2]))),
        text.replace("~", ""),
    )


_UUID = "{h8}-{h4}-{h4}-{h4}-{h12}"
# `~` parts what a scanner would find.
_SHAPED = f"""
OPENAI_API_KEY sk-~{{a20}}T3BlbkFJ{{a20}}
OPENAI_API_KEY sk-~proj-{{w74}}T3BlbkFJ{{w74}}
OPENAI_API_KEY sk-~svcacct-{{w58}}T3BlbkFJ{{w58}}
ANTHROPIC_API_KEY sk-~ant-api03-{{w93}}AA
ANTHROPIC_ADMIN_KEY sk-~ant-admin01-{{w93}}AA
OPENROUTER_API_KEY sk-~or-v1-{{h64}}
LANGFUSE_SECRET_KEY sk-~lf-{_UUID}
DEEPSEEK_API_KEY sk-~{{h32}}
HF_TOKEN hf~_{{a34}}
HF_ORG_TOKEN api_org~_{{a34}}
GROQ_API_KEY gsk~_{{a52}}
REPLICATE_API_TOKEN r8~_{{a37}}
NVIDIA_API_KEY nvapi~-{{w64}}
XAI_API_KEY xai~-{{a80}}
PERPLEXITY_API_KEY pplx~-{{a48}}
FIREWORKS_API_KEY fw~_3Z{{a22}}
TOGETHER_API_KEY tgp_v1~_{{w43}}
PINECONE_API_KEY pcsk~_{{a6}}_{{a63}}
LANGSMITH_API_KEY lsv2_pt~_{{h32}}_{{h10}}
LLAMA_CLOUD_API_KEY llx~-{{a48}}
TAVILY_API_KEY tvly~-{{a32}}
TAVILY_API_KEY tvly~-dev-{{a32}}
JINA_API_KEY jina~_{{h32}}{{a28}}
WANDB_API_KEY wandb_v1~_{{a27}}_{{a50}}
NEPTUNE_API_TOKEN eyJhcGlf~YWRkcmVzcyI6{{b120}}
KAGGLE_API_TOKEN KGAT~_{{h32}}
DATABRICKS_TOKEN dapi~{{h32}}
DATABRICKS_TOKEN dapi~{{h32}}-2
PREFECT_API_KEY pnu~_{{a36}}
AWS_ACCESS_KEY_ID AKIA~{{U16}}
AWS_ACCESS_KEY_ID ASIA~{{U16}}
AWS_BEARER_TOKEN_BEDROCK ABSK~{{b128}}=
GOOGLE_API_KEY AIza~{{w35}}
GOOGLE_OAUTH_TOKEN ya29.~a0{{w60}}
GOOGLE_CLIENT_SECRET GOCSPX~-{{w28}}
GOOGLE_REFRESH_TOKEN 1//0~{{w60}}
AZURE_CLIENT_SECRET {{a3}}8Q~~{{w34}}
ALIBABA_ACCESS_KEY LTAI~{{a20}}
TENCENT_SECRET_ID AKID~{{a32}}
YANDEX_API_KEY AQVN~{{w36}}
DIGITALOCEAN_TOKEN dop_v1~_{{h64}}
DIGITALOCEAN_TOKEN doo_v1~_{{h64}}
SCALINGO_TOKEN tk-us~-{{w48}}
FLY_API_TOKEN fo1~_{{w43}}
FLY_API_TOKEN fm2~_{{b120}}
NETLIFY_AUTH_TOKEN nfp~_{{a36}}
SUPABASE_ACCESS_TOKEN sbp~_{{h40}}
SUPABASE_SECRET_KEY sb_secret~_{{w31}}
PLANETSCALE_TOKEN pscale_tkn~_{{w43}}
PLANETSCALE_PASSWORD pscale_pw~_{{w43}}
CLOUDFLARE_ORIGIN_KEY v1.0~-{{h24}}-{{h146}}
HEROKU_API_KEY HRKU~-{{w60}}
OPENSHIFT_TOKEN sha256~~{{w43}}
PULUMI_ACCESS_TOKEN pul~-{{h40}}
TF_TOKEN {{a14}}.~atlasv1.{{w67}}
VAULT_TOKEN hvs.~{{w95}}
VAULT_TOKEN hvb.~{{w150}}
DOPPLER_TOKEN dp.pt.~{{a43}}
DOPPLER_TOKEN dp.st.~prd.{{a43}}
AGE_KEY AGE-SECRET-KEY-1~{{U58}}
OP_SERVICE_ACCOUNT_TOKEN ops_eyJ~{{b260}}=
OP_SECRET_KEY A3-~{{U6}}-{{U11}}-{{U5}}-{{U5}}-{{U5}}
TAILSCALE_AUTHKEY tskey-auth-~k{{a10}}CNTRL-{{a32}}
DYNATRACE_TOKEN dt0c01.~{{U24}}.{{U64}}
GITHUB_TOKEN ghp~_{{a36}}
GITHUB_TOKEN gho~_{{a36}}
GITHUB_TOKEN ghs~_{{a36}}
GITHUB_TOKEN github_pat~_{{a22}}_{{a59}}
GITLAB_TOKEN glpat~-{{w20}}
GITLAB_TOKEN glpat~-{{w40}}.01.{{l9}}
GITLAB_DEPLOY_TOKEN gldt~-{{w20}}
CI_JOB_TOKEN glcbt~-{{a2}}_{{w20}}
GITLAB_RUNNER_TOKEN glrt~-{{w20}}
JIRA_API_TOKEN ATATT3~{{w180}}={{H8}}
BITBUCKET_APP_PASSWORD ATBB~{{a32}}
PYPI_TOKEN pypi-AgE~IcHlwaS5vcmc{{w70}}
NPM_TOKEN npm~_{{a36}}
GEM_HOST_API_KEY rubygems~_{{h48}}
NUGET_API_KEY oy2~{{l43}}
CARGO_REGISTRY_TOKEN cio~9{{a31}}
CLOJARS_PASSWORD CLOJARS~_{{l60}}
DOCKER_PASSWORD dckr_pat~_{{w27}}
ARTIFACTORY_API_KEY AKCp~{{a69}}
ARTIFACTORY_TOKEN cmVmd~{{a59}}
SRC_ACCESS_TOKEN sgp~_{{h16}}_{{h40}}
SONAR_TOKEN squ~_{{h40}}
OCTOPUS_API_KEY API-~{{U26}}
HARNESS_API_KEY pat.~{{w22}}.{{a24}}.{{a20}}
POSTMAN_API_KEY PMAK~-{{h24}}-{{h34}}
README_API_KEY rdme~_{{l70}}
LAUNCHDARKLY_SDK_KEY sdk-~{_UUID}
SENTRY_AUTH_TOKEN sntrys_eyJpYXQiO~{{b60}}LCJyZWdpb25fdXJs{{b40}}_{{b43}}
SENTRY_AUTH_TOKEN sntryu~_{{h64}}
GRAFANA_TOKEN glsa~_{{a32}}_{{h8}}
GRAFANA_CLOUD_TOKEN glc~_eyJ{{b64}}
NEW_RELIC_API_KEY NRAK~-{{U27}}
POSTHOG_PERSONAL_KEY phx~_{{a43}}
SLACK_BOT_TOKEN xoxb~-{{d12}}-{{d13}}-{{a24}}
SLACK_USER_TOKEN xoxp~-{{d12}}-{{d12}}-{{d12}}-{{h32}}
SLACK_APP_TOKEN xapp~-1-A{{U10}}-{{d13}}-{{h64}}
DISCORD_TOKEN M{{a23}}.~{{w6}}.{{w38}}
TELEGRAM_TOKEN {{d10}}:~AA{{w33}}
SENDGRID_API_KEY SG.~{{w22}}.{{w43}}
BREVO_API_KEY xkeysib~-{{h64}}-{{a16}}
MAILGUN_API_KEY key-~{{h32}}
MAILCHIMP_API_KEY {{h32}}-~us21
TWILIO_API_KEY SK~{{h32}}
STRIPE_SECRET_KEY sk_live~_{{a24}}
STRIPE_SECRET_KEY sk_test~_{{a24}}
STRIPE_RESTRICTED_KEY rk_live~_{{a99}}
STRIPE_WEBHOOK_SECRET whsec~_{{a32}}
SQUARE_ACCESS_TOKEN EAAA~{{w60}}
SQUARE_SECRET sq0csp~-{{w43}}
SHOPIFY_TOKEN shpat~_{{h32}}
SHIPPO_TOKEN shippo_live~_{{h40}}
EASYPOST_API_KEY EZAK~{{a54}}
FLUTTERWAVE_SECRET FLWSECK_TEST~-{{h32}}-X
RAZORPAY_KEY rzp_live~_{{a14}}
PLAID_TOKEN access-production-~{_UUID}
BRAINTREE_TOKEN access_token~$production${{l16}}${{h32}}
DUFFEL_TOKEN duffel_live~_{{w43}}
NOTION_TOKEN ntn~_{{d11}}{{a35}}
NOTION_TOKEN secret~_{{a43}}
AIRTABLE_TOKEN pat{{a14}}.~{{h64}}
LINEAR_API_KEY lin_api~_{{a40}}
FIGMA_TOKEN figd~_{{w40}}
TYPEFORM_TOKEN tfp~_{{w44}}_{{w14}}
HUBSPOT_TOKEN pat-na1-~{_UUID}
DROPBOX_TOKEN sl.~{{w135}}
FACEBOOK_TOKEN EAAC~{{a120}}
TWITTER_BEARER_TOKEN AAAAAAAAAAAAAAAAAAAAAA~{{a85}}
LINKEDIN_TOKEN WPL_AP1.~{{w16}}.{{w9}}
ADOBE_CLIENT_SECRET p8e~-{{l32}}
FRAMEIO_TOKEN fio-u~-{{w64}}
CONTENTFUL_TOKEN CFPAT~-{{w43}}
ASANA_TOKEN 1/~{{d16}}:{{h32}}
MAXMIND_LICENSE_KEY {{a6}}_~{{a29}}_mmk
MAPBOX_SECRET_TOKEN sk.eyJ~{{a60}}.{{a22}}
ID_TOKEN eyJ~hbGciOiJIUzI1NiJ9.eyJ{{w40}}.{{w43}}
"""
_SHAPELESS = f"""
WANDB_API_KEY {{h40}}
AWS_SECRET_ACCESS_KEY {{b40}}
COHERE_API_KEY {{a40}}
MISTRAL_API_KEY {{a32}}
AZURE_OPENAI_API_KEY {{h32}}
AZURE_STORAGE_ACCOUNT_KEY {{b86}}==
DD_API_KEY {{h32}}
DATADOG_APP_KEY {{h40}}
COMET_API_KEY {{a25}}
CLEARML_API_SECRET_KEY {{a50}}
ELEVENLABS_API_KEY {{h32}}
SERPAPI_KEY {{h64}}
ALGOLIA_API_KEY {{h32}}
TWILIO_AUTH_TOKEN {{h32}}
HEROKU_API_KEY {_UUID}
QDRANT_API_KEY {{w54}}
WEAVIATE_API_KEY {{a36}}
SNOWFLAKE_PASSWORD Tr0ub4dor{{d2}}x
DB_PASSWORD hunter{{d6}}
PGPASSWORD s3cr3t{{a6}}
MYSQL_PWD pw{{a10}}
dbpassword {{a12}}
clientsecret {{a32}}
hftoken {{a34}}
OPENAI_KEY {{a40}}
api_keys {{a32}}
jwt {{a32}}
session_cookie {{a32}}
x-api-key {{a32}}
smtp_pass {{a14}}
passphrase {{a6}}-{{a6}}-{{a6}}
"""


class Secret(NamedTuple):
    name: str
    """What it is called by who uses it."""
    value: str
    has_shape: bool


def _read(text: str, has_shape: bool) -> Iterator[Secret]:
    for number, line in enumerate(text.split("\n")):
        name, _, value = line.partition(" ")
        if value:
            # Azure's and OpenShift's have a `~` of their own.
            yield Secret(name, made(value.replace("~~", "\0"), number).replace("\0", "~"), has_shape)


SECRETS = [*_read(_SHAPED, True), *_read(_SHAPELESS, False)]

PLACES = {
    "assignment": "{name} = '{s}'",
    "assignment without spaces": 'x = 1; {name}="{s}"',
    "annotated": 'class Config:\n    {name}: str = "{s}"\n    lr: float = 0.1',
    "optional": '{name}: Optional[str] = "{s}",',
    "prefixed string": "{name} = f'{s}'",
    "triple quotes": '{name} = """{s}"""',
    "parentheses": '{name} = (\n    "{s}"\n)',
    "dictionary": '{{"lr": 0.1, "{name}": "{s}"}}',
    "subscript": 'os.environ["{name}"] = "{s}"',
    "keyword argument": 'login(user="ann", {name}="{s}", retries=3)',
    "two arguments": 'spark.conf.set("{name}", "{s}")',
    "chained call": 'builder.config("spark.{name}", "{s}").getOrCreate()',
    "setdefault": "os.environ.setdefault('{name}', '{s}')",
    "getenv": 'os.getenv("{name}", "{s}")',
    "get with a default": 'os.environ.get("{name}", default="{s}")',
    "or": 'os.environ.get("{name}") or "{s}"',
    "argparse": 'parser.add_argument("--{name}", type=str, default="{s}", help="for the service")',
    "click": '@click.option(\n    "--{name}",\n    default="{s}",\n)',
    "tuple": '("{name}", "{s}")',
    "list of pairs": '[("lr", "0.1"), ("{name}", "{s}")]',
    "compared": 'if {name} == "{s}":',
    "setter": 'client.set_{name}("{s}")',
    "row": '{{"name": "{name}", "value": "{s}"}}',
    "row, turned": '{{"value": "{s}", "name": "{name}"}}',
    "yaml": "db:\n  {name}: {s}\n  port: 5432",
    "quoted yaml": "db:\n  {name}: '{s}'",
    "yaml over two lines": "db:\n  {name}:\n    {s}\n  port: 5432",
    "yaml block": "db:\n  {name}: |\n    {s}\n  port: 5432",
    "folded yaml": "db:\n  {name}: >-\n    {s}\n",
    "yaml rows": "env:\n  - name: {name}\n    value: {s}\n  - name: LR\n    value: 0.1",
    "json": '{{\n  "{name}": "{s}",\n  "lr": 0.1\n}}',
    "toml": '[service]\n{name} = "{s}"',
    "ini": "[service]\n{name} = {s}\nport = 1",
    "properties": "service.{name}={s}",
    "env file": "LR=0.1\n{name}={s}\nPORT=1",
    "shell": "export {name}={s}",
    "shell with a default": "x=${{{name}:-{s}}}",
    "dockerfile": "FROM python\nENV {name}={s}",
    "xml": "<settings><{name}>{s}</{name}></settings>",
    "xml attribute": '<add key="{name}" value="{s}" />',
    "terraform": 'variable "{name}" {{\n  default = "{s}"\n}}',
    "powershell": '$env:{name} = "{s}"',
    "javascript": "const config = {{ {name}: `{s}` }};",
    "ruby": "{name} => '{s}'",
    "go": '{name} := "{s}"',
    "added line": "@@ -1,2 +1,2 @@\n lr = 0.1\n+{name} = '{s}'\n",
    "removed line": "@@ -1,2 +1,2 @@\n-    {name}: {s}\n+    {name}: ${{{{ vault }}}}\n",
    "flag": "python train.py --{name} {s} --lr 0.1",
    "flag with equal sign": "python train.py --{name}={s} --lr 0.1",
    "header": "curl -H '{name}: {s}' https://example.org",
    "bearer header": "curl -H 'Authorization: Bearer {s}' https://example.org",
    "headers": 'headers = {{"Authorization": f"Bearer {s}"}}',
    "url query": "https://example.org/v1?q=1&{name}={s}&page=2",
    "url user": "https://ann:{url}@example.org/repository.git",
    "exception": "AuthenticationError: {name} '{s}' was refused",
    "exception, named": "ValueError: invalid {name}={s}",
    "sql": "CREATE USER ann WITH PASSWORD '{s}'",
    "two targets": 'user, {name} = "ann", "{s}"',
    "two strings": '{name} = "a-" "{s}"',
    "another type": '{name}: Final = "{s}"',
    "field": '{name}: str | None = Field(default="{s}")',
    "typer": '{name}: str = typer.Option("{s}", "--x")',
    "property of hadoop": "<property><name>fs.{name}</name><value>{s}</value></property>",
    "old dockerfile": "FROM python\nENV {name} {s}\n",
    "magic": "%env {name} {s}",
    "mapping below the name": '{name} = {{"main": "{s}"}}',
    "list below the name": '{name} = [\n    "{s}",\n]',
    "fallback": '{name} = args.{name} or "{s}"',
    "condition": '{name} = os.environ.get("X") if prod else "{s}"',
    "pair for auth": 'requests.get(url, auth=("ann", "{s}"))',
    "login": 'smtp.login("ann@example.org", "{s}")',
    "aligned": '{name}                    = "{s}"',
    "option with brackets": 'add_argument("--{name}", type=lambda s: s.strip(), help="the (db) one", default="{s}")',
    "provided": "Incorrect {name} provided: {s}",
    "curl user": "curl -u ann:{s} https://example.org",
}
"""Where a secret stands with a name that says so, or with a scheme."""
BARE = {
    "alone": "{s}",
    "in prose": "use {s} for now",
    "in a list": "['{s}', 'other']",
    "as a comment": "x = 1  # {s}",
    "with a harmless name": "value = '{s}'",
    "in a path": "/tmp/{s}.txt",
    "in brackets": "({s})",
    "printed": "print({s!r})",
}
"""Where only its shape tells."""


def notebook(text: str) -> str:
    """A text as a cell of a notebook's file."""
    source = [f"{line}\n" for line in text.split("\n")]
    return json.dumps({"cells": [{"cell_type": "code", "source": source}], "nbformat": 4}, indent=1)


INNOCENTS = [
    made(text)
    for text in f"""
{{h40}}
{{h64}}
{{h32}}
{{h7}}
commit {{h40}}
sha256:{{h64}}
sha256-{{b43}}=
sha512-{{b86}}==
md5={{h32}}
{_UUID}
run_id={_UUID}
01JDABCDEFGHJKMNPQRSTVWXYZ
docker.io/library/python@sha256:{{h64}}
etag: "{{h32}}"
revision={{h40}}
digest = "{{h64}}"
checksum: {{h32}}
git+https://github.com/owner/repo@{{h40}}
-p 8080
docker run -p 8080:80 -v /a:/b image
srun -p gpu --gres=gpu:1 python train.py
python -p no:randomly
docker run -u 1000:1000 image
rsync -u host:path /here
max_tokens=512
max_tokens: 4096
pad_token='<pad>'
pad_token = "[PAD]"
eos_token="</s>"
oov_token="unknown"
oov_token='<OOV>'
unk_token: [UNK]
bos_token: <s>
token_pattern=r"(?u)\\b\\w\\w+\\b"
tokenizer="bert-base-uncased"
token_type_ids=[0, 0, 1]
tokens = ["the", "quick", "brown", "fox"]
tokens_per_second: 1234.5
num_tokens=1000000
n_keys=12
keys: [a, b, c]
key=lambda pair: pair[1]
sort_key="name"
primary_key: id
partition_key = "customer"
public_key_size=4096
key_dim=64
query_key_value
kv_cache=True
author="Ada Lovelace"
authors: [Ada, Grace]
author_email="ada@example.org"
passthrough=True
passthrough: "drop"
n_passes=3
bypass="relu"
compass: north
forward_pass=2
password_policy="strict-12"
password_policy: minimum 12
password_min_length=12
secret_name="database"
secretary="Grace"
token_limit_per_minute=1000
connection_string_length=80
cookie_policy="none"
access="public"
account="research"
private=True
signature="float32, float32 -> int64"
authentication = "none"
api_version="2024-02-01"
api_base = "https://example.org/v1"
meta-llama/Llama-3.1-8B-Instruct
distilbert-base-uncased-finetuned-sst-2-english
sentence-transformers/all-MiniLM-L6-v2
hf_internal_testing/tiny-random-bert
stabilityai/stable-diffusion-xl-base-1.0
gpt-4o-mini-2024-07-18
claude-3-5-sonnet-20241022
openai/clip-vit-large-patch14-336
timm/vit_base_patch16_224.augreg2_in21k_ft_in1k
sk-learn-contrib-imbalanced
sk-logistic-regression-baseline-v2
risk-assessment-of-the-portfolio
pypi-stats
npm_config_registry=https://registry.npmjs.org
xoxo, grandmother
1234567890123456789012345678901234567890
3.14159265358979323846264338327950288
0x7fb1c0de0000
192.168.0.1:8080
2024-11-30T12:00:00.000000+00:00
s3://bucket/key/part-00000-of-00016.parquet
gs://bucket/models/checkpoint-12000/pytorch_model.bin
/home/me@work/data:v2/train.csv
C:\\Users\\me\\data.csv
ada.lovelace@example.org
git@github.com:owner/project.git
https://github.com/owner/project/blob/main/a.py#L1-L20
https://medium.com/@somebody-with-a-long-name
https://example.org/v1?q=token&max_tokens=5
hidden_layer_sizes=(100, 50), activation='relu', solver='adam'
Pipeline(steps=[('scale', StandardScaler()), ('clf', LogisticRegression(C=0.1))])
optimizer: adamw_bnb_8bit, lr_scheduler_type: cosine_with_restarts
num_leaves=31 min_child_samples=20 colsample_bytree=0.8
objective=reg:squarederror tree_method=hist
sklearn.linear_model._logistic.LogisticRegression
<keras.src.optimizers.adam.Adam object at 0x7fb1c0de0000>
tensor([[0.1234, -0.5678]], device='cuda:0')
usecols=["password", "username", "token"]
columns = ("api_key", "secret", "email")
for token in tokens: count[token] += 1
if token == "the": continue
token = next(tokens)
def login(password: str, token: Optional[str] = None) -> None:
api_key = os.environ["API_KEY"]
password=getpass.getpass("Password: ")
token=self.token, key=args.api_key
login(password=password, token=token)
password: ${{{{ secrets.DB_PASSWORD }}}}
api_key: {{{{ vault.key }}}}
SyntaxError: Unexpected token 'if' at line 3
KeyError: 'password'
for the "key" in the map
if text.startswith("-----BEGIN RSA PRIVATE KEY-----"): load()
token=0.25
secret = await fetch()
X_ENV_VAR = "MLFLOW_TRACKING_TOKEN"
f"bad token: {{{{tok!r}}}}"
keys = ["password", "user"]
"see credential-management. "  # noqa: E501
access_token=request.access_token
STORAGE_CREDENTIAL_DOES_NOT_EXIST = 9007
-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----
""".strip().split("\n")
]
VOCABULARY = {
    word: number for number, word in enumerate(("password", "token", "secret", "key", "cookie", "hunter"))
}
