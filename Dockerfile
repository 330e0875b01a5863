# The worker, as an ordinary user. Build: docker build -t xworkflow-worker .
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
# the build backend comes from the full lock, in an environment that is left behind
COPY requirements.lock requirements-worker.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
RUN python -m venv /opt/xworkflow \
 && /opt/xworkflow/bin/pip install --no-cache-dir --require-hashes -r requirements-worker.lock
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/xworkflow/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:3.12.12-slim-bookworm
# the folder is there so that a volume mounted on it belongs to the user
RUN useradd --create-home --uid 10001 xworkflow \
 && install --directory --owner=xworkflow --group=xworkflow /var/lib/xworkflow
COPY --from=build /opt/xworkflow /opt/xworkflow
ENV PATH=/opt/xworkflow/bin:$PATH
# a number, so that an orchestrator can see that it is not root
USER 10001:10001
WORKDIR /home/xworkflow
ENTRYPOINT ["xworkflow"]
CMD ["worker"]
