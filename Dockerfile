# The worker, as an ordinary user. Build: docker build -t xworkflow .
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/xworkflow
COPY requirements.lock ./
RUN /opt/xworkflow/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /opt/xworkflow/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 xworkflow
COPY --from=build /opt/xworkflow /opt/xworkflow
ENV PATH=/opt/xworkflow/bin:$PATH
USER xworkflow
WORKDIR /home/xworkflow
ENTRYPOINT ["xworkflow"]
CMD ["worker"]
